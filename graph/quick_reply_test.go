package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/settings"
)

const createQuickReply = `mutation($i: CreateQuickReplyInput!) { createQuickReply(input: $i) {
	quickReply { id name shortcut queues { id } texts { language text } version } userErrors { code field message } } }`

// addQuickReply makes one for queues, or for all, with texts in languages.
func addQuickReply(w *world, name string, queues []string, texts ...string) string {
	return w.Admin.Must(createQuickReply, vars{"i": vars{"name": name, "queueIds": queues, "texts": replyTexts(texts...)}}).String("createQuickReply.quickReply.id")
}

func replyTexts(pairs ...string) (texts []any) {
	for i := 0; i < len(pairs); i += 2 {
		texts = append(texts, vars{"language": pairs[i], "text": pairs[i+1]})
	}
	return texts
}

func TestAQuickReplyIsSetUpByAScriptAndSaidInAChat(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		script, boss, ann, ben := w.AddMachine("Script", operator.RoleIntegrator), w.Add("Boss", operator.RoleSupervisor), w.Add("Ann", operator.RoleOperator), w.Add("Ben", operator.RoleOperator)
		w.Members(w.Queue, ann)
		input := vars{"name": "Hours", "shortcut": "hours", "queueIds": []string{w.Queue}, "idempotencyKey": "1",
			"texts": replyTexts("en", "Open, {contact.name}! {operator.name}", "de", "Offen")}
		made := script.Must(createQuickReply, vars{"i": input})
		again := script.Must(createQuickReply, vars{"i": input})
		id := made.String("createQuickReply.quickReply.id")
		if made.Body != again.Body || made.Get("createQuickReply.quickReply.queues.0.id") != w.Queue || made.Get("createQuickReply.quickReply.texts.1.language") != "de" {
			t.Errorf("%s\n%s", made.Body, again.Body)
		}
		delete(input, "idempotencyKey")
		if a := script.Do(createQuickReply, vars{"i": input}); a.Code() != "NAME_TAKEN" || !anywhere(a, id) {
			t.Error(a.Body)
		}
		input["name"], input["texts"] = "Other", replyTexts("en", "x", "de", "{nonsense}")
		if a := script.Do(createQuickReply, vars{"i": input}); a.Code() != "INVALID" || a.Get("createQuickReply.userErrors.0.field") != "texts.1.text" || !anywhere(a, "{nonsense}") {
			t.Error(a.Body)
		}
		if a := boss.Must(`{ quickReplies { nodes { id name queues { name members { name } } } } }`, nil); a.Get("quickReplies.nodes.0.queues.0.members.0.name") != "Ann" {
			t.Error(a.Body)
		}

		ada := w.Customer("Ada")
		chat := w.Hears(ada, "hello")
		w.Until("the profile is read", func() bool {
			return ann.Must(`query($c: ID!) { node(id: $c) { ... on Chat { contact { name } } } }`, vars{"c": chat}).Get("node.contact.name") == "Ada Customer"
		})
		const suggest = `query($c: ID!, $s: String) { suggestedQuickReplies(chatId: $c, search: $s) { quickReply { id queues { id } } text language chosenBy missing } }`
		a := ann.Must(suggest, vars{"c": chat, "s": "HOUR"})
		first, _ := a.List("suggestedQuickReplies")[0].(map[string]any)
		if first["text"] != "Open, Ada Customer! Ann" || first["language"] != "en" || fmt.Sprint(first["missing"]) != "[]" ||
			apptest.Get(first, "quickReply.id") != id || apptest.Get(first, "quickReply.queues") != nil {
			t.Error(a.Body)
		}
		if a := ann.Must(suggest, vars{"c": chat, "s": "nothing like it"}); len(a.List("suggestedQuickReplies")) != 0 {
			t.Error(a.Body)
		}
		for _, as := range []*client{ben, script} {
			if a := as.Must(suggest, vars{"c": chat}); a.Get("suggestedQuickReplies") != nil {
				t.Error(a.Body)
			}
			if seen := as.Must(`query($id: ID!) { node(id: $id) { id } }`, vars{"id": id}).Get("node") != nil; seen != (as == script) {
				t.Errorf("%s sees the quick reply: %t", as.ID, seen)
			}
		}

		const change = `mutation($i: UpdateQuickReplyInput!) { updateQuickReply(input: $i) { quickReply { name shortcut queues { id } texts { text } version } userErrors { code } } }`
		a = script.Must(change, vars{"i": vars{"id": id, "name": "Opening hours", "expectedVersion": 1}})
		if a.Get("updateQuickReply.quickReply.shortcut") != "hours" || len(a.List("updateQuickReply.quickReply.texts")) != 2 || len(a.List("updateQuickReply.quickReply.queues")) != 1 {
			t.Error(a.Body)
		}
		a = script.Must(change, vars{"i": vars{"id": id, "shortcut": nil, "queueIds": []string{}, "texts": replyTexts("fr", "Ouvert")}})
		if a.Get("updateQuickReply.quickReply.shortcut") != nil || len(a.List("updateQuickReply.quickReply.texts")) != 1 || len(a.List("updateQuickReply.quickReply.queues")) != 0 {
			t.Error(a.Body)
		}
		a = boss.Must(`{ quickReplyReport { languages untranslated { quickReply { id } missingLanguages } } }`, nil)
		if fmt.Sprint(a.Get("quickReplyReport.languages")) != "[en]" || a.Get("quickReplyReport.untranslated.0.quickReply.id") != id ||
			a.Get("quickReplyReport.untranslated.0.missingLanguages.0") != "en" {
			t.Error(a.Body)
		}
		script.Must(setSettings, vars{"s": []any{setting(settings.DefaultLanguage, "FR-ca")}})
		if a := ann.Must(suggest, vars{"c": chat}); !anywhere(a, "Ouvert") {
			t.Error(a.Body)
		}
		a = boss.Must(`{ quickReplyReport { languages untranslated { missingLanguages } } }`, nil)
		if fmt.Sprint(a.Get("quickReplyReport.languages")) != "[fr-CA]" || len(a.List("quickReplyReport.untranslated")) != 0 {
			t.Error(a.Body)
		}
		const remove = `mutation($id: ID!, $v: Int) { deleteQuickReply(input: {id: $id, expectedVersion: $v}) { deletedQuickReplyId userErrors { code } } }`
		if a := script.Do(remove, vars{"id": id, "v": 1}); a.Code() != "CONFLICT" || a.Get("deleteQuickReply.deletedQuickReplyId") != nil {
			t.Error(a.Body)
		}
		if a := script.Must(remove, vars{"id": id, "v": 3}); a.Get("deleteQuickReply.deletedQuickReplyId") != id {
			t.Error(a.Body)
		}
		var did []string
		for _, e := range boss.Must(`{ auditEntries { nodes { action subject apiClient { name } } } }`, nil).List("auditEntries.nodes") {
			if apptest.Get(e, "subject") == id && apptest.Get(e, "apiClient.name") == "Script" {
				did = append(did, apptest.Get(e, "action").(string))
			}
		}
		if got := strings.Join(did, " "); got != "QUICK_REPLY_DELETED QUICK_REPLY_CHANGED QUICK_REPLY_CHANGED QUICK_REPLY_CREATED" {
			t.Error(got)
		}
	})
}

func TestQuickRepliesCostTheSameStatementsHoweverManyThereAre(t *testing.T) {
	seen := &statements{}
	apptest.Each(t, apptest.Options{Store: seen.watch}, func(t *testing.T, w *world) {
		ann := w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		chat := w.Hears(w.Customer("Ada"), "hello")
		sales := w.AddQueue("Sales", ann)
		for n := range 25 {
			addQuickReply(w, fmt.Sprint("Reply ", n), []string{w.Queue, sales}, "it", "Ciao", "fr", "Salut")
			if n != 2 && n != 24 {
				continue
			}
			const reply = `{ id name queues { name members { name } } texts { language text } }`
			for _, c := range []struct {
				as          *client
				query, list string
				statements  int
			}{
				// The viewer, the replies, their queues (two), their texts, the members (two).
				{w.Admin, `{ quickReplies { nodes ` + reply + ` } }`, "quickReplies.nodes", 7},
				// The same, and the languages.
				{w.Admin, `{ quickReplyReport { untranslated { quickReply ` + reply + ` } } }`, "quickReplyReport.untranslated", 8},
				// The same, and the chat with what it points at, and the identity.
				{w.Admin, `query($c: ID!) { suggestedQuickReplies(chatId: $c) { text quickReply ` + reply + ` } }`, "suggestedQuickReplies", 9},
				{ann, `query($c: ID!) { suggestedQuickReplies(chatId: $c) { text quickReply { id name texts { text } } } }`, "suggestedQuickReplies", 7},
			} {
				list := seen.of(func() {
					if a := c.as.Must(c.query, vars{"c": chat}); len(a.List(c.list)) != n+1 {
						t.Errorf("%s", a.Body)
					}
				})
				if len(list) != c.statements {
					t.Errorf("%s of %d: %d statements, not %d:\n%s", c.list, n+1, len(list), c.statements, strings.Join(list, "\n"))
				}
			}
		}
	})
}
