package graph_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/graph/model"
	"parley/server/app/apptest"
	"parley/server/fault"
)

func TestEveryCodeOfAFaultHasItsPlace(t *testing.T) {
	topLevel := []fault.Code{fault.Unauthenticated, fault.Forbidden, fault.RateLimited, fault.Overloaded}
	file, err := parser.ParseFile(token.NewFileSet(), "../server/fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok {
					code, _ := strconv.Unquote(literal.Value)
					declared[code] = true
				}
			}
		}
		return true
	})
	for code := range declared {
		user, top := slices.Contains(model.AllUserErrorCode, model.UserErrorCode(code)), slices.Contains(topLevel, fault.Code(code))
		if user == top {
			t.Errorf("%s: among the userErrors %t, among the top-level errors %t", code, user, top)
		}
	}
	for _, code := range model.AllUserErrorCode {
		if !declared[string(code)] {
			t.Errorf("%s is published and no fault has it", code)
		}
	}
}

func TestArgumentsThatCannotBeReadAreTheClientsFault(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	for _, c := range []struct {
		query string
		vars  vars
	}{
		{`{ node(id: "nonsense") { id } }`, nil},
		{`query($id: ID!) { node(id: $id) { id } }`, vars{"id": "chat_nonsense"}},
		{`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": []string{w.Queue, ""}}},
		{`{ chats(filter: {contactId: "x"}) { nodes { id } } }`, nil},
		{`mutation { acceptChat(input: {chatId: "x"}) { userErrors { code } } }`, nil},
		{`query($n: Int) { chats(first: $n) { nodes { id } } }`, vars{"n": 1e30}},
		{`query($n: Int) { chats(first: $n) { nodes { id } } }`, vars{"n": "many"}},
		{`query($s: [ChatStatus!]) { chats(filter: {status: $s}) { nodes { id } } }`, vars{"s": []string{"NONE"}}},
		{`subscription { messageAdded(chatId: "x") { cursor } }`, nil},
	} {
		var code any
		if strings.HasPrefix(c.query, "subscription") {
			s := w.Connect(w.Admin)
			s.Subscribe("1", c.query, c.vars)
			code = apptest.Get(s.Read().Payload, "0.extensions.code")
		} else {
			code = w.Admin.Do(c.query, c.vars).Code()
		}
		if code != "BAD_REQUEST" && code != "GRAPHQL_VALIDATION_FAILED" {
			t.Errorf("%s %v: %v", c.query, c.vars, code)
		}
	}
	if strings.Contains(w.Log.String(), "request failed") {
		t.Errorf("and nobody has to look after them: %s", w.Log)
	}
	for query, field := range map[string]string{
		`{ chats(first: 0) { nodes { id } } }`: "chats", `{ chats(first: 101) { nodes { id } } }`: "chats", `{ chats(after: "x") { nodes { id } } }`: "chats",
		`{ events(first: 0) { cursor } }`: "events", `{ events(first: 101) { cursor } }`: "events",
	} {
		if a := w.Admin.Do(query, nil); a.Code() != "INVALID" || a.Errors[0].Path[0] != field {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
	w.Hears(w.Customer("Ada"), "hello")
	for _, arguments := range []string{"first: 0", "last: 0", "first: -1", "first: 101", "first: 1, last: 1", `before: "x"`} {
		if a := w.Admin.Do(`{ chats { nodes { messages(`+arguments+`) { nodes { id } } } } }`, nil); a.Code() != "INVALID" {
			t.Errorf("%s: %s", arguments, a.Body)
		}
	}
}

func TestWhatIsNotSignedInIsToldWhere(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	a := w.Anonymous().Do(`{ x: viewer { role } __typename }`, nil)
	if a.Code() != "UNAUTHENTICATED" || len(a.Errors) != 1 || a.Errors[0].Path[0] != "x" || a.Data != nil {
		t.Error(a.Body)
	}
	if a := w.Anonymous().Must(`{ __typename __schema { queryType { name } } }`, nil); a.Get("__typename") != "Query" {
		t.Error(a.Body)
	}
}
