package graph_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"parley/ent/operator"
	"parley/server/app/apptest"
)

// texts adds the texts of the messages in decoded JSON.
func texts(into map[string]int, value any) {
	switch v := value.(type) {
	case map[string]any:
		if text, ok := v["text"].(string); ok {
			into[text]++
		}
		for _, child := range v {
			texts(into, child)
		}
	case []any:
		for _, child := range v {
			texts(into, child)
		}
	}
}

func TestNothingFallsBetweenAListAndTheEventsAfterItsCursor(t *testing.T) {
	const messages = 60
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ada := w.Customer("Ada")
		w.Hears(ada, "0")
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := 1; i <= messages; i++ {
				ada.Writes(fmt.Sprint(i))
			}
		})
		type snapshot struct {
			seen   map[string]int
			cursor string
		}
		var taken []snapshot
		for last := false; !last; {
			// The cursor is asked for after the list, and is from before it.
			a := w.Admin.Must(`{ chats { nodes { messages(last: 100) { nodes { text } } } } eventCursor }`, nil)
			s := snapshot{map[string]int{}, a.String("eventCursor")}
			texts(s.seen, a.Get("chats"))
			taken = append(taken, s)
			last = s.seen[fmt.Sprint(messages)] > 0
		}
		writing.Wait()
		for _, s := range taken {
			for after, done := s.cursor, false; !done; {
				a := w.Admin.Must(`query($c: Cursor) { events(after: $c) { cursor caughtUp events { ... on MessageAdded { message { text } } } } }`, vars{"c": after})
				texts(s.seen, a.Get("events"))
				after, done = a.String("events.cursor"), s.seen[fmt.Sprint(messages)] > 0 && a.Get("events.caughtUp") == true
			}
			for i := 0; i <= messages; i++ {
				if s.seen[fmt.Sprint(i)] == 0 {
					t.Errorf("message %d is neither in the list nor after its cursor", i)
				}
			}
		}
		t.Logf("%d lists were read meanwhile", len(taken))
	})
}

func TestAStreamGoesOnFromItsCursorWithoutGapOrRepeat(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann := w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		cursor := past(w, ann)
		ada := w.Customer("Ada")
		heard := map[string]int{}
		for i := range 5 { // each time a new socket, in the middle of things
			socket := w.Connect(ann)
			socket.Subscribe("1", `subscription($c: Cursor) { messageAdded(after: $c) { cursor message { text } } }`, vars{"c": cursor})
			for j := range 10 {
				ada.Writes(fmt.Sprint(i, " ", j))
			}
			for range 7 {
				f := socket.Read()
				heard[fmt.Sprint(f.Get("messageAdded.message.text"))]++
				cursor = f.Get("messageAdded.cursor").(string)
			}
			_ = socket.Close()
		}
		socket := w.Connect(ann)
		socket.Subscribe("1", `subscription($c: Cursor) { messageAdded(after: $c) { message { text } } }`, vars{"c": cursor})
		for heard["4 9"] == 0 {
			heard[fmt.Sprint(socket.Read().Get("messageAdded.message.text"))]++
		}
		for i := range 5 {
			for j := range 10 {
				if text := fmt.Sprint(i, " ", j); heard[text] != 1 {
					t.Errorf("%q was heard %d times", text, heard[text])
				}
			}
		}
	})
}

func TestAStreamSaysThatItsCursorIsOfAnotherHistoryAndGoesOn(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		const query = `subscription($c: Cursor) { chatEvents(after: $c) { __typename ... on StreamResync { reason cursor } ... on StreamCaughtUp { cursor }
			... on ChatEventBatch { cursor events { cursor at __typename ... on MessageAdded { message { text } } } } } }`
		socket := w.Connect(w.Admin)
		socket.Subscribe("1", query, vars{"c": "bm9uc2Vuc2U"})
		if f := socket.Read(); f.Get("chatEvents.reason") != "UNKNOWN_CURSOR" || f.Get("chatEvents.cursor") == "" {
			t.Errorf("%+v", f)
		}
		w.Hears(w.Customer("Ada"), "hello")
		for {
			f := socket.Read()
			if apptest.Get(f.Payload, "errors") != nil || f.Type != "next" {
				t.Fatalf("%+v", f)
			}
			if strings.Contains(fmt.Sprint(f.Payload), "hello") {
				return
			}
		}
	})
}

func TestSendingAgainWithTheSameKeySendsOnce(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		chat := w.Hears(w.Customer("Ada"), "hello")
		w.Admin.Must(acceptMutation, vars{"id": chat})
		const send = `mutation($id: ID!, $text: String!, $key: String) { sendMessage(input: {chatId: $id, text: $text, idempotencyKey: $key}) { message { id } userErrors { code field message } } }`
		ids := map[string]bool{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				a := w.Admin.Do(send, vars{"id": chat, "text": "How can I help?", "key": "1"})
				mu.Lock()
				defer mu.Unlock()
				ids[fmt.Sprint(a.Get("sendMessage.message.id"))] = true
			})
		}
		all.Wait()
		if len(ids) != 1 || ids["<nil>"] {
			t.Errorf("messages %v", ids)
		}
		if a := w.Admin.Do(send, vars{"id": chat, "text": "Something else", "key": "1"}); a.Code() != "KEY_REUSED" || a.Get("sendMessage.userErrors.0.field") != "idempotencyKey" {
			t.Error(a.Body)
		}
		w.Admin.Must(send, vars{"id": chat, "text": "the last one", "key": "2"})
		if err := w.Facebook.Wait(t.Context(), func() bool {
			n := len(w.Facebook.Sent())
			return n > 0 && w.Facebook.Sent()[n-1].Text == "the last one"
		}); err != nil {
			t.Fatal(err)
		}
		if sent := w.Facebook.Sent(); len(sent) != 2 || sent[0].Text != "How can I help?" {
			t.Errorf("Facebook got %v", sent)
		}
	})
}

func TestOneMutationAfterAnotherInAnOperationReadsWhatItChanged(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	chat := w.Hears(w.Customer("Ada"), "hello")
	w.Admin.Must(acceptMutation, vars{"id": chat})
	a := w.Admin.Must(`mutation($id: ID!) {
		a: sendMessage(input: {chatId: $id, text: "Bye", idempotencyKey: "1"}) { message { chat { status } } }
		b: completeChat(input: {chatId: $id}) { chat { status } }
		c: sendMessage(input: {chatId: $id, text: "Bye", idempotencyKey: "1"}) { message { chat { status } } }
	}`, vars{"id": chat})
	if a.Get("a.message.chat.status") != "IN_PROGRESS" || a.Get("b.chat.status") != "COMPLETED" || a.Get("c.message.chat.status") != "COMPLETED" {
		t.Error(a.Body)
	}
}

func TestWhoIsTooLateIsToldWhoWasFirst(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	ann, ben := w.Add("Ann", operator.RoleOperator), w.Add("Ben", operator.RoleOperator)
	w.Members(w.Queue, ann, ben)
	chat := w.Hears(w.Customer("Ada"), "hello")
	ann.Must(acceptMutation, vars{"id": chat})
	a := ben.Do(acceptMutation, vars{"id": chat})
	if a.Code() != "CONFLICT" || a.Get("acceptChat.chat") != nil || !strings.Contains(a.Body, "Ann has had the chat since") {
		t.Error(a.Body)
	}
}
