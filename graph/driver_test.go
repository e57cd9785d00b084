package graph_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"parley/ent/operator"
	"parley/graph/generated"
	"parley/server/app/apptest"
)

// everyField selects all fields of a type that need no arguments, on every level,
// except those whose value is the viewer's own, and types that it is within.
func everyField(schema *ast.Schema, of *ast.Definition, within ...string) string {
	var text strings.Builder
	for _, t := range schema.GetPossibleTypes(of) {
		if slices.Contains(within, t.Name) {
			continue
		}
		text.WriteString(" ... on " + t.Name + " { __typename")
		for _, f := range t.Fields {
			inner := schema.Types[f.Type.Name()]
			required := slices.ContainsFunc(f.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull && a.DefaultValue == nil })
			own := f.Directives.ForName("own") != nil || t.Name == "Operator" && f.Directives.ForName("readable") != nil
			if required || own || strings.HasPrefix(f.Name, "__") {
				continue
			}
			field := " " + t.Name + "_" + f.Name + ": " + f.Name
			switch {
			case inner.IsLeafType():
				text.WriteString(field)
			case !slices.Contains(within, inner.Name) && inner != of:
				text.WriteString(field + " {" + everyField(schema, inner, append(slices.Clone(within), t.Name)...) + " __typename }")
			}
		}
		text.WriteString(" }")
	}
	return text.String()
}

// Responses are shared by viewers of a role who see the same event. A field that
// differs between them has to be marked with @own.
func TestWhatTwoViewersOfARoleAreShownOfAnEventIsTheSameUnlessTheSchemaSaysOwn(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann, ben := w.Add("Ann", operator.RoleOperator), w.Add("Ben", operator.RoleOperator)
		w.Members(w.Queue, ann, ben)
		channelTo := func(queue string) {
			w.Admin.Must(`mutation($c: ID!, $q: ID!) { updateChannel(input: {id: $c, queueId: $q}) { userErrors { code message } } }`, vars{"c": w.Channel, "q": queue})
		}
		ada := w.Customer("Ada")
		channelTo(w.AddQueue("Sales", ann)) // what Ann alone may see is before what both may
		before := w.Hears(ada, "to Sales")
		w.Admin.Must(`mutation($id: ID!) { completeChat(input: {chatId: $id}) { userErrors { code message } } }`, vars{"id": before})
		channelTo(w.Queue)
		past(w, ben)
		start := past(w, ann)
		chat := w.Hears(ada, "to Support")
		ann.Must(acceptMutation, vars{"id": chat})
		ann.Must(`mutation($id: ID!) { markChatRead(input: {chatId: $id}) { userErrors { code message } } }`, vars{"id": chat})
		sent := ann.Must(`mutation($id: ID!) { sendMessage(input: {chatId: $id, text: "How can I help?"}) { message { id } userErrors { code message } } }`, vars{"id": chat})
		w.Until("it is sent", func() bool {
			return ann.Must(`query($id: ID!) { node(id: $id) { ... on Message { status } } }`, vars{"id": sent.String("sendMessage.message.id")}).Get("node.status") != "PENDING"
		})
		for _, kind := range schema.GetPossibleTypes(schema.Types["ChatEvent"]) {
			if kind.Name == "OperatorUpdated" {
				continue // operators see only what becomes of themselves
			}
			query := `query($after: Cursor) { events(after: $after, first: 10) { caughtUp events {` + everyField(schema, kind) + ` } } }`
			var shown [3]map[any]string // by cursor: what only one of them sees is not shared
			w.Until("nothing changes while they read", func() bool {
				for i, as := range []*client{ann, ben, ann} {
					shown[i] = map[any]string{}
					for _, e := range as.Must(query, vars{"after": start}).List("events.events") {
						if cursor := apptest.Get(e, kind.Name+"_cursor"); cursor != nil { // of this kind
							shown[i][cursor] = fmt.Sprint(e)
						}
					}
				}
				return maps.Equal(shown[0], shown[2])
			})
			both := 0
			for cursor, toAnn := range shown[0] {
				if toBen, too := shown[1][cursor]; too {
					if both++; toAnn != toBen {
						t.Errorf("Ann is shown\n%s\nand Ben\n%s", toAnn, toBen)
					}
				}
			}
			if both == 0 && (kind.Name == "MessageAdded" || kind.Name == "ChatUpdated") {
				t.Errorf("no %s was seen by both", kind.Name)
			}
		}
		const own = `query($id: ID!) { node(id: $id) { ... on Chat { unreadCount } ... on Chat { previous { id } } } }`
		if a, b := ann.Must(own, vars{"id": chat}), ben.Must(own, vars{"id": chat}); a.Get("node.unreadCount") == b.Get("node.unreadCount") || b.Get("node.previous") != nil || a.Get("node.previous") == nil {
			t.Errorf("what is their own does not differ: %s %s", a.Body, b.Body)
		}
	})
}
