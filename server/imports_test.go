package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// everything is for what wires.
const everything = "*"

// mayImport says who may import whom, of ours. Imports go one way: from the wire
// and the API towards the domain, and from there to the database. A package that
// is not here fails the test. Tests may import what they like.
var mayImport = map[string]string{
	// Leaves: they know nothing of Parley.
	"server/fault":     "",
	"server/globalid":  "",
	"server/paging":    "server/fault",
	"server/seal":      "",
	"server/weburl":    "",
	"server/config":    "server/seal server/weburl",
	"server/memory":    "",
	"server/graphiql":  "",
	"server/messenger": "", // Facebook's world: no rows, no domain

	// The database and the machinery over it.
	"ent":             "server/globalid",
	"server/store":    "ent",
	"server/work":     "server/fault server/store", // takes functions; what an item means is not its business
	"server/eventlog": "ent server/store",
	"server/audit":    "ent server/paging server/store",
	"server/settings": "ent server/audit server/eventlog server/fault server/seal server/store server/weburl",
	"server/auth":     "ent server/fault server/globalid server/seal server/store",

	// The domain, and what brings the provider's world to it and back.
	"server/desk":     "ent server/audit server/eventlog server/fault server/globalid server/paging server/store server/work",
	"server/ingest":   "ent server/desk server/fault server/globalid server/messenger server/paging server/store",
	"server/channels": "ent server/audit server/auth server/desk server/fault server/globalid server/messenger server/seal server/settings server/store server/work",
	"server/sender":   "ent server/channels server/desk server/messenger server/store server/work",

	// The API.
	"graph":       "ent server/audit server/auth server/channels server/desk server/fault server/globalid server/ingest server/paging server/settings",
	"server/edge": "graph server/auth server/desk server/fault",

	// Programs.
	"server/app":                     everything,
	"server/demo":                    "ent server/app server/audit server/auth server/config server/desk server/globalid server/graphiql server/messenger/messengertest",
	"server":                         "server/app server/config server/demo server/memory server/store",
	"server/messenger/messengersim":  "server/messenger server/messenger/messengertest",
	"server/messenger/messengertest": "server/messenger",
	"server/store/storetest":         "server/store",
	"server/filled":                  "server/store",
	"server/filled/filldb":           "server/filled server/globalid server/store",
	"server/app/apptest":             everything,
	"server/channels/channelstest":   "server/auth server/channels server/messenger server/seal server/settings server/store",
}

// onlyForTests may be imported by no program but those that show or simulate.
var onlyForTests = map[string][]string{
	"server/messenger/messengertest": {"server/demo", "server/messenger/messengersim", "server/app/apptest"},
	"server/store/storetest":         {"server/app/apptest"},
	"server/filled":                  {"server/filled/filldb"},
	"server/app/apptest":             {},
}

func TestImportsGoOneWay(t *testing.T) {
	found := imports(t)
	for from, all := range found {
		allowed, known := mayImport[from]
		if !known {
			t.Errorf("%s: say in mayImport what it may import", from)
			continue
		}
		for to := range all {
			if allowed != everything && !slices.Contains(strings.Fields(allowed), to) {
				t.Errorf("%s must not import %s", from, to)
			}
			if by, restricted := onlyForTests[to]; restricted && !slices.Contains(by, from) {
				t.Errorf("%s imports %s, which is for tests", from, to)
			}
		}
	}
	for name, allowed := range mayImport {
		if found[name] == nil {
			t.Errorf("there is no package %s", name)
		}
		for _, to := range strings.Fields(allowed) {
			if to != everything && mayImportAny(to, name, nil) {
				t.Errorf("%s may import %s, which may import it in turn", name, to)
			}
		}
	}
}

// mayImportAny says whether a package may import another, if only through others.
func mayImportAny(from, to string, before []string) bool {
	for _, next := range strings.Fields(mayImport[from]) {
		if next == to || next != everything && !slices.Contains(before, next) && mayImportAny(next, to, append(before, next)) {
			return true
		}
	}
	return false
}

// imports is what the packages of this repository import of each other. What is
// generated belongs to the package that it is generated for.
func imports(t *testing.T) map[string]map[string]bool {
	t.Helper()
	found := map[string]map[string]bool{}
	for _, root := range []string{".", "../graph", "../ent"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "web") {
				return errOr(err, fs.SkipDir)
			}
			if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			from := ours(filepath.ToSlash(filepath.Join("parley/server", filepath.Dir(path))))
			if found[from] == nil {
				found[from] = map[string]bool{}
			}
			for _, spec := range file.Imports {
				name, _ := strconv.Unquote(spec.Path.Value)
				if to := ours(name); to != "" && to != from {
					found[from][to] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// ours is the name of a package of ours in the table, empty for others'.
func ours(path string) string {
	name, isOurs := strings.CutPrefix(path, "parley/")
	if !isOurs {
		return ""
	}
	for _, whole := range []string{"ent", "graph"} {
		if name == whole || strings.HasPrefix(name, whole+"/") {
			return whole
		}
	}
	return name
}
