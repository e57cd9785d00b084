package graph_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

const snapshot = "../docs/schema.graphql"

var update = flag.Bool("update", false, "write "+snapshot+" anew, unless that would break clients")

// sdl is the schema as it stands, and its text as one sorted file.
func sdl(t *testing.T) (*ast.Schema, string) {
	t.Helper()
	files, err := filepath.Glob("../schema/*.graphql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var sources []*ast.Source
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, &ast.Source{Name: file, Input: string(text)})
	}
	schema, err := gqlparser.LoadSchema(sources...)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer // the formatter leaves out a schema block with the usual names, and its description with it
	fmt.Fprintf(&text, "\"\"\"\n%s\n\"\"\"\nschema {\n  query: Query\n  mutation: Mutation\n  subscription: Subscription\n}\n", schema.Description)
	formatter.NewFormatter(&text, formatter.WithIndent("  ")).FormatSchema(schema)
	return schema, text.String()
}

func TestThePublishedSchemaIsTheSchemaAndNeverBreaksClients(t *testing.T) {
	now, text := sdl(t)
	published, err := os.ReadFile(snapshot)
	if os.IsNotExist(err) && *update {
		published = nil
	} else if err != nil {
		t.Fatal(err)
	}
	if len(published) > 0 {
		old, err := gqlparser.LoadSchema(&ast.Source{Name: snapshot, Input: string(published)})
		if err != nil {
			t.Fatal(err)
		}
		if broken := breaks(old, now); len(broken) > 0 {
			t.Fatalf("clients of the published schema would break; deprecate first, publish, remove later:\n%s", strings.Join(broken, "\n"))
		}
	}
	switch {
	case string(published) == text:
	case *update:
		if err := os.WriteFile(snapshot, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what schema/ says: go test ./graph -run Schema -update, and look at the difference", snapshot)
	}
}

func TestEveryElementOfTheSchemaIsDescribed(t *testing.T) {
	schema, _ := sdl(t)
	check := func(description, format string, args ...any) {
		if strings.TrimSpace(description) == "" {
			t.Errorf("%s has no description", fmt.Sprintf(format, args...))
		}
	}
	check(schema.Description, "the schema")
	for name, d := range schema.Directives {
		if d.Position.Src.BuiltIn {
			continue
		}
		check(d.Description, "@%s", name)
		for _, a := range d.Arguments {
			check(a.Description, "@%s(%s:)", name, a.Name)
		}
	}
	for name, d := range schema.Types {
		if d.BuiltIn {
			continue
		}
		check(d.Description, "%s", name)
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			check(f.Description, "%s.%s", name, f.Name)
			for _, a := range f.Arguments {
				check(a.Description, "%s.%s(%s:)", name, f.Name, a.Name)
			}
		}
		for _, v := range d.EnumValues {
			check(v.Description, "%s.%s", name, v.Name)
		}
	}
}

// breaks lists what clients of the old schema would miss in the new one. What
// was deprecated may go, and types that nothing else leads to with it.
func breaks(old, now *ast.Schema) []string {
	var list []string
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for name := range needed(old) {
		was, is := old.Types[name], now.Types[name]
		switch {
		case is == nil:
			say("%s is gone", name)
			continue
		case was.Kind != is.Kind:
			say("%s was %s and is %s", name, was.Kind, is.Kind)
			continue
		}
		for _, what := range [][2][]string{{was.Interfaces, is.Interfaces}, {was.Types, is.Types}} {
			for _, member := range what[0] {
				if !slices.Contains(what[1], member) {
					say("%s has nothing to do with %s any more", name, member)
				}
			}
		}
		for _, v := range was.EnumValues {
			if is.EnumValues.ForName(v.Name) == nil && !deprecated(v.Directives) {
				say("%s.%s is gone", name, v.Name)
			}
		}
		isInput := was.Kind == ast.InputObject
		for _, f := range was.Fields {
			g := is.Fields.ForName(f.Name)
			switch {
			case g == nil:
				if !deprecated(f.Directives) {
					say("%s.%s is gone", name, f.Name)
				}
			case isInput:
				inputBreaks(say, name+"."+f.Name, f.Type, g.Type, f.DefaultValue, g.DefaultValue)
			default:
				if !fits(g.Type, f.Type) {
					say("%s.%s was %s and is %s", name, f.Name, f.Type, g.Type)
				}
				argumentsBreak(say, name+"."+f.Name, f.Arguments, g.Arguments)
			}
		}
		for _, g := range is.Fields {
			if isInput && was.Fields.ForName(g.Name) == nil && g.Type.NonNull && g.DefaultValue == nil {
				say("%s.%s is new and must be given", name, g.Name)
			}
		}
	}
	slices.Sort(list)
	return list
}

func argumentsBreak(say func(string, ...any), field string, was, is ast.ArgumentDefinitionList) {
	for _, a := range was {
		b := is.ForName(a.Name)
		if b != nil {
			inputBreaks(say, field+"("+a.Name+":)", a.Type, b.Type, a.DefaultValue, b.DefaultValue)
		} else if !deprecated(a.Directives) {
			say("%s(%s:) is gone", field, a.Name)
		}
	}
	for _, b := range is {
		if was.ForName(b.Name) == nil && b.Type.NonNull && b.DefaultValue == nil {
			say("%s(%s:) is new and must be given", field, b.Name)
		}
	}
}

// inputBreaks: what was good to send must be good still, and mean the same.
func inputBreaks(say func(string, ...any), name string, was, is *ast.Type, wasDefault, isDefault *ast.Value) {
	if !fits(was, is) && !(isDefault != nil && fits(was, nullable(is))) {
		say("%s was %s and is %s", name, was, is)
	}
	if wasDefault != nil && wasDefault.String() != isDefault.String() {
		say("%s was %s by default", name, wasDefault)
	}
}

// fits says whether a value of one type can stand where another is awaited.
func fits(value, where *ast.Type) bool {
	if where.NonNull && !value.NonNull || (where.Elem == nil) != (value.Elem == nil) {
		return false
	}
	if where.Elem != nil {
		return fits(value.Elem, where.Elem)
	}
	return value.NamedType == where.NamedType
}

func nullable(t *ast.Type) *ast.Type {
	n := *t
	n.NonNull = false
	return &n
}

func deprecated(directives ast.DirectiveList) bool { return directives.ForName("deprecated") != nil }

// needed are the types that something which is not deprecated leads to.
func needed(schema *ast.Schema) map[string]bool {
	reached := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		d := schema.Types[name]
		if d == nil || d.BuiltIn || reached[name] {
			return
		}
		reached[name] = true
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") || deprecated(f.Directives) {
				continue
			}
			visit(f.Type.Name())
			for _, a := range f.Arguments {
				if !deprecated(a.Directives) {
					visit(a.Type.Name())
				}
			}
		}
		for _, possible := range schema.GetPossibleTypes(d) {
			visit(possible.Name)
		}
	}
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		if root != nil {
			visit(root.Name)
		}
	}
	return reached
}

func TestWhatBreaksClientsIsFound(t *testing.T) {
	const before = `
		type Query { a(x: Int, y: Int = 1, old: Int @deprecated): A!, gone: Gone @deprecated, u: U, e: E, list: [A!]! }
		interface N { id: ID! }
		type A implements N { id: ID!, s: String!, n: String, old: String @deprecated }
		type B { id: ID! }
		type Gone { deep: Deeper }
		type Deeper { id: ID! }
		union U = A | B
		enum E { ONE TWO OLD @deprecated }
		type Mutation { m(i: I!): A }
		input I { a: Int, b: Int!, old: Int @deprecated }
		type Unused { a: Int }`
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing":                             {"", "", ""},
		"a new field":                         {"type B {", "type B { more: Int", ""},
		"a field that is never null now":      {"n: String,", "n: String!,", ""},
		"a field gone":                        {"n: String,", "", "A.n is gone"},
		"a deprecated field gone":             {"old: String @deprecated }", "}", ""},
		"a deprecated field's types gone too": {"gone: Gone @deprecated,", "", ""},
		"a field that may be null now":        {"s: String!", "s: String", "A.s was String! and is String"},
		"a list's element may be null now":    {"[A!]!", "[A]!", "Query.list was [A!]! and is [A]!"},
		"another type":                        {"n: String,", "n: Int,", "A.n was String and is Int"},
		"an argument gone":                    {"x: Int, ", "", "Query.a(x:) is gone"},
		"a deprecated argument gone":          {", old: Int @deprecated): A!", "): A!", ""},
		"an argument that must be given now":  {"x: Int,", "x: Int!,", "Query.a(x:) was Int and is Int!"},
		"a new argument":                      {"x: Int,", "x: Int, z: Int,", ""},
		"a new argument with a default":       {"x: Int,", "x: Int, z: Int! = 1,", ""},
		"a new argument that must be given":   {"x: Int,", "x: Int, z: Int!,", "Query.a(z:) is new and must be given"},
		"another default":                     {"y: Int = 1", "y: Int = 2", "Query.a(y:) was 1 by default"},
		"an enum value gone":                  {"TWO ", "", "E.TWO is gone"},
		"a deprecated enum value gone":        {"OLD @deprecated", "", ""},
		"a union's member gone":               {"A | B", "A", "U has nothing to do with B any more"},
		"an interface gone":                   {"A implements N", "A", "A has nothing to do with N any more"},
		"an input field gone":                 {"a: Int, b", "b", "I.a is gone"},
		"an input field that may be left out": {"b: Int!", "b: Int", ""},
		"an input field that must be given":   {"a: Int, b", "a: Int!, b", "I.a was Int and is Int!"},
		"a new input field to be given":       {"input I {", "input I { c: Int!", "I.c is new and must be given"},
		"another kind":                        {"enum E { ONE TWO OLD @deprecated }", "scalar E", "E was ENUM and is SCALAR"},
		"what nothing leads to gone":          {"type Unused { a: Int }", "", ""},
	} {
		after := strings.Replace(before, c.from, c.to, 1)
		got := strings.Join(breaks(parse(t, before), parse(t, after)), "; ")
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func parse(t *testing.T, text string) *ast.Schema {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: text})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
