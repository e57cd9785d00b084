package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/ent/operator"
	"parley/server/app/apptest"
)

// anywhere says whether any of the texts is in an answer.
func anywhere(a apptest.Answer, texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(a.Body, text) {
			return true
		}
	}
	return false
}

const (
	everything = `fragment everything on Chat { id status contact { id name } messages(last: 100) { nodes { id text deliveries { id } } }
		lastMessage { id text } previous { id messages(last: 5) { nodes { text } } } }`
	feed = `__typename ... on MessageAdded { message { id text chat { id previous { id } } } } ... on MessageUpdated { message { id text } }
		... on ChatOpened { chat { id previous { id } } } ... on ChatUpdated { chat { id lastMessage { text } previous { id } } } ... on ChatRemoved { chatId }`
	events = `query($after: Cursor) { events(after: $after) { caughtUp cursor resync { reason } events { ` + feed + ` } } }`
)

func TestAnOperatorOfAnotherQueueSeesNothingOfAChatAnywhere(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann, ben := w.Add("Ann", operator.RoleOperator), w.Add("Ben", operator.RoleOperator)
		w.Members(w.Queue, ann)
		w.AddQueue("Sales", ben)
		past(w, ann)
		start := past(w, ben) // that they became members is behind them
		socket := w.Connect(ben)
		socket.Watch("events", feed+` ... on OperatorUpdated { operator { id } }`)
		socket.Subscribe("all", `subscription { messageAdded { message { text } } }`, nil)

		chat := w.Hears(w.Customer("Ada"), "for Ann alone")
		socket.Subscribe("one", `subscription($id: ID!) { messageAdded(chatId: $id) { message { text } } }`, vars{"id": chat})
		ann.Must(`mutation($id: ID!) { acceptChat(input: {chatId: $id}) { chat { id } userErrors { code message } } }`, vars{"id": chat})
		sent := ann.Must(`mutation($id: ID!) { sendMessage(input: {chatId: $id, text: "from Ann"}) { message { id deliveries { id } } userErrors { code message } } }`, vars{"id": chat})
		ofAnn := ann.Must(`query($id: ID!) { node(id: $id) { ...everything } } `+everything, vars{"id": chat})
		things := []string{chat, ofAnn.String("node.contact.id"), ofAnn.String("node.messages.nodes.0.id"),
			sent.String("sendMessage.message.id"), sent.String("sendMessage.message.deliveries.0.id")}

		for _, id := range things {
			if a := ann.Must(`query($id: ID!) { node(id: $id) { id } }`, vars{"id": id}); a.Get("node.id") != id {
				t.Errorf("Ann does not see %s: %s", id, a.Body)
			}
			if a := ben.Must(`query($id: ID!) { node(id: $id) { id } }`, vars{"id": id}); a.Get("node") != nil {
				t.Errorf("Ben sees %s: %s", id, a.Body)
			}
		}
		if a := ben.Must(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": things}); fmt.Sprint(a.Get("nodes")) != "[<nil> <nil> <nil> <nil> <nil>]" {
			t.Error(a.Body)
		}
		if a := ann.Must(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": things}); fmt.Sprint(a.Get("nodes.4.id")) != things[4] {
			t.Error(a.Body)
		}
		contact := things[1]
		for _, query := range []string{
			`{ chats { nodes { ...everything } } } ` + everything,
			`query($id: ID!) { chats(filter: {contactId: $id}) { nodes { ...everything } } } ` + everything,
			`{ contacts { nodes { id name } } }`, `{ channels { nodes { id name } } }`,
		} {
			a := ben.Must(query, vars{"id": contact})
			if anywhere(a, append(things, "Ada", "Ann alone", w.Channel)...) {
				t.Errorf("%s\n%s", query, a.Body)
			}
		}
		for after := start; after != ""; {
			a := ben.Must(events, vars{"after": after})
			if anywhere(a, things...) {
				t.Errorf("events: %s", a.Body)
			}
			if after = a.String("events.cursor"); a.Get("events.caughtUp") == true {
				break
			}
		}
		if a := ann.Must(events, vars{"after": start}); !anywhere(a, chat) {
			t.Errorf("Ann's events: %s", a.Body)
		}
		for name, mutation := range map[string]string{
			"acceptChat": `acceptChat(input: {chatId: $id})`, "completeChat": `completeChat(input: {chatId: $id})`,
			"markChatRead": `markChatRead(input: {chatId: $id})`, "sendMessage": `sendMessage(input: {chatId: $id, text: "?"})`,
		} {
			for _, id := range []string{chat, contact, w.Queue} { // and what is no chat at all is answered alike
				if a := ben.Do(`mutation($id: ID!) { `+mutation+` { userErrors { code field message } } }`, vars{"id": id}); a.Code() != "NOT_FOUND" || a.Get(name+".userErrors.0.message") != "there is no such chat" {
					t.Errorf("%s: %s", name, a.Body)
				}
			}
		}
		// Ben's next event is the one that is his.
		ben.Must(`mutation { setOperatorState(input: {state: ONLINE}) { userErrors { code } } }`, nil)
		f := socket.Read()
		if f.ID != "events" || apptest.Get(f.Get("chatEvents.events"), "0.operator.id") != ben.ID {
			t.Errorf("Ben hears %+v", f)
		}
	})
}

func TestTheChatBeforeIsSeenOnlyByThoseWhoMayAndOnlyAsLongAsTheyMay(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann, ben := w.Add("Ann", operator.RoleOperator), w.Add("Ben", operator.RoleOperator)
		w.Members(w.Queue, ann)
		sales := w.AddQueue("Sales", ann, ben)
		ada := w.Customer("Ada")
		before := w.Hears(ada, "to Support")
		w.Admin.Must(`mutation($id: ID!) { completeChat(input: {chatId: $id}) { userErrors { code message } } }`, vars{"id": before})
		w.Admin.Must(`mutation($c: ID!, $q: ID!) { updateChannel(input: {id: $c, queueId: $q}) { userErrors { code message } } }`, vars{"c": w.Channel, "q": sales})
		chat := w.Hears(ada, "to Sales")

		const query = `query($id: ID!) { node(id: $id) { ... on Chat { id previous { id } } } }`
		if a := ann.Must(query, vars{"id": chat}); a.Get("node.previous.id") != before {
			t.Errorf("Ann: %s", a.Body)
		}
		if a := ben.Must(query, vars{"id": chat}); a.Get("node.id") != chat || a.Get("node.previous") != nil {
			t.Errorf("Ben: %s", a.Body)
		}

		past(w, ann)
		socket := w.Connect(ann)
		socket.Watch("1", feed)
		w.Members(w.Queue) // Ann leaves Support
		if f := socket.Read(); f.Get("chatEvents.reason") != "RIGHTS_CHANGED" {
			t.Fatalf("%+v", f)
		}
		w.Hears(ada, "to Sales again")
		for {
			f := socket.Read()
			text := fmt.Sprint(f.Payload)
			if strings.Contains(text, before) {
				t.Errorf("Ann still sees what is not hers any more: %s", text)
			}
			if strings.Contains(text, "to Sales again") {
				break
			}
		}
	})
}

func TestWhoIsTakenOutOfAQueueHearsNothingMoreOfIt(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann := w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		past(w, ann)
		socket := w.Connect(ann)
		socket.Watch("1", feed+` ... on OperatorUpdated { operator { id } }`)
		socket.Subscribe("2", `subscription { messageAdded { message { text } } }`, nil)
		ada := w.Customer("Ada")
		w.Hears(ada, "while she is")
		heard := map[string]bool{}
		for !heard["1"] || !heard["2"] {
			if f := socket.Read(); strings.Contains(fmt.Sprint(f.Payload), "while she is") {
				heard[f.ID] = true
			}
		}
		w.Members(w.Queue)
		w.Hears(ada, "when she is no more")
		ann.Must(`mutation { setOperatorState(input: {state: ONLINE}) { userErrors { code } } }`, nil)
		resynced := false
		for {
			f := socket.Read()
			if strings.Contains(fmt.Sprint(f.Payload), "no more") {
				t.Errorf("%+v", f)
			}
			switch {
			case f.ID == "2": // the simple form ends and says why
				if code := apptest.Get(f.Payload, "0.extensions.code"); f.Type != "error" || code != "RESYNC" {
					t.Errorf("%+v", f)
				}
				resynced = true
			case f.Get("chatEvents.events.0.operator.id") == ann.ID:
				if !resynced {
					continue
				}
				return
			}
			if resynced && f.ID == "2" {
				ann.Must(`mutation { setOperatorState(input: {state: PAUSED}) { userErrors { code } } }`, nil)
			}
		}
	})
}
