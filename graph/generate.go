//go:build ignore

// Generates the GraphQL server with gqlgen, and has it run by package exec where
// that has a function of gqlgen's name.
package main

import (
	"fmt"
	"go/format"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/99designs/gqlgen/api"
	"github.com/99designs/gqlgen/codegen/config"
)

var ours = strings.NewReplacer(
	"graphql.ResolveField(", "exec.ResolveField(",
	"graphql.MarshalSliceConcurrently(", "exec.MarshalSliceConcurrently(",
	"graphql.NewFieldSet(fields)", "exec.NewFieldSet(ctx, fields)",
	"graphql.NewDeferredGroup(", "exec.NewDeferredGroup(",
	"var buf bytes.Buffer", "buf := exec.Buffer()",
	"MarshalGQL(&buf)", "MarshalGQL(buf)",
)

func main() {
	log.SetOutput(io.Discard) // gqlgen explains every field there
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate() error {
	if err := os.Chdir(".."); err != nil { // where gqlgen.yml is
		return err
	}
	cfg, err := config.LoadConfigFromDefaultLocations()
	if err != nil {
		return err
	}
	if err := api.Generate(cfg); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(cfg.Exec.DirName, "*.generated.go"))
	for _, file := range files {
		if err == nil {
			err = rewrite(file)
		}
	}
	return err
}

func rewrite(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	functions := strings.SplitAfter(string(text), "\n}\n")
	for i, function := range functions {
		if !strings.Contains(function, "next graphql.Resolver") { // fields with directives stay gqlgen's
			functions[i] = ours.Replace(function)
		}
	}
	code := strings.Join(functions, "")
	if strings.Contains(code, "exec.") {
		code = strings.Replace(code, "import (\n", "import (\n\t\"parley/graph/exec\"\n", 1)
	}
	if !strings.Contains(code, "bytes.") {
		code = strings.Replace(code, "\t\"bytes\"\n", "", 1)
	}
	formatted, err := format.Source([]byte(code))
	if err != nil {
		return err
	}
	return os.WriteFile(file, formatted, 0o644)
}
