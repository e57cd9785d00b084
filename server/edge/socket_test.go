package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/edge"
)

type (
	frame = apptest.Frame
	world = apptest.World
)

const watch = `subscription { chatEvents { __typename ... on ChatEventBatch { events { __typename ... on MessageAdded { message { text } } } } } }`

func authorization(token string) map[string]any {
	return map[string]any{"authorization": "Bearer " + token}
}

func TestASocketIsAcknowledgedAndSpeaksAllKindsOfOperations(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		chat := w.Hears(w.Customer("Ada"), "before")
		s := w.Connect(w.Admin)

		s.Say(frame{Type: "ping", Payload: map[string]any{"n": 1.0}})
		if f := s.Read(); f.Type != "pong" || apptest.Get(f.Payload, "n") != 1.0 {
			t.Errorf("ping was answered by %+v", f)
		}
		s.Say(frame{Type: "pong"})

		s.Subscribe("q", `query($id: ID!) { node(id: $id) { ... on Chat { status } } }`, map[string]any{"id": chat})
		if f := s.Read(); f.ID != "q" || f.Type != "next" || f.Get("node.status") != "WAITING" {
			t.Errorf("query: %+v", f)
		}
		if f := s.Read(); f.ID != "q" || f.Type != "complete" {
			t.Errorf("after the query: %+v", f)
		}
		s.Subscribe("q", `mutation($id: ID!) { acceptChat(input: {chatId: $id}) { chat { status } } }`, map[string]any{"id": chat})
		if f := s.Read(); f.Get("acceptChat.chat.status") != "IN_PROGRESS" {
			t.Errorf("mutation, of an id used before: %+v", f)
		}
		if f := s.Read(); f.Type != "complete" {
			t.Errorf("after the mutation: %+v", f)
		}
		s.Subscribe("bad", `{ nonsense }`, nil)
		if f := s.Read(); f.ID != "bad" || f.Type != "error" || apptest.Get(f.Payload, "0.extensions.code") != "GRAPHQL_VALIDATION_FAILED" {
			t.Errorf("a bad query: %+v", f)
		}
		s.Watch("s", `... on MessageAdded { message { text } }`)
		w.Hears(w.Customer("Bob"), "after")
		for {
			f := s.Read()
			if apptest.Get(f.Payload, "errors") != nil {
				t.Fatalf("%+v", f)
			}
			if strings.Contains(fmt.Sprint(f.Payload), "after") {
				return
			}
		}
	})
}

func TestTheTokenIsFoundWhateverTheCaseOfItsNameAndInTheUpgrade(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	for _, name := range []string{"authorization", "Authorization", "AUTHORIZATION"} {
		s := w.Dial()
		s.Say(frame{Type: "connection_init", Payload: map[string]any{name: "bearer " + w.Admin.Token}})
		if f := s.Read(); f.Type != "connection_ack" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	header := http.Header{"Authorization": {"Bearer " + w.Admin.Token}}
	for _, payload := range []any{nil, map[string]any{"authorization": ""}} {
		s, _, err := w.TryDial(header, "graphql-transport-ws")
		if err != nil {
			t.Fatal(err)
		}
		s.Say(frame{Type: "connection_init", Payload: payload})
		if f := s.Read(); f.Type != "connection_ack" {
			t.Errorf("by the upgrade's header, payload %v: %+v", payload, f)
		}
	}
	s, _, err := w.TryDial(header, "graphql-transport-ws")
	if err != nil {
		t.Fatal(err)
	}
	s.Say(frame{Type: "connection_init", Payload: map[string]any{"authorization": "Basic nonsense"}})
	if code := s.Closed(); code != 4403 {
		t.Errorf("a wrong one in connection_init hides behind the upgrade's: %d", code)
	}
	if _, response, err := w.TryDial(http.Header{"Authorization": {"Bearer nonsense"}}, "graphql-transport-ws"); err == nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a bad token in the upgrade: %v", response)
	}
}

func TestWhoBreaksTheProtocolIsToldByTheCloseCode(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Timing: edge.Timing{Init: 300 * time.Millisecond}})
	in := frame{Type: "connection_init", Payload: authorization(w.Admin.Token)}
	operation := map[string]any{"query": watch}
	for name, c := range map[string]struct {
		say  []any
		code int
	}{
		"subscribe before connection_init":   {[]any{frame{ID: "1", Type: "subscribe", Payload: operation}}, 4401},
		"no token":                           {[]any{frame{Type: "connection_init"}}, 4403},
		"a bad token":                        {[]any{frame{Type: "connection_init", Payload: authorization("nonsense")}}, 4403},
		"connection_init twice":              {[]any{in, in}, 4429},
		"an id that is in use":               {[]any{in, frame{ID: "1", Type: "subscribe", Payload: operation}, frame{ID: "1", Type: "subscribe", Payload: operation}}, 4409},
		"a long id that is in use":           {[]any{in, frame{ID: strings.Repeat("ü", 500), Type: "subscribe", Payload: operation}, frame{ID: strings.Repeat("ü", 500), Type: "subscribe", Payload: operation}}, 4409},
		"no JSON":                            {[]any{in, "nonsense"}, 4400},
		"a list":                             {[]any{in, "[]"}, 4400},
		"null":                               {[]any{in, "null"}, 4400},
		"an unknown type":                    {[]any{in, frame{Type: "start"}}, 4400},
		"subscribe without an id":            {[]any{in, frame{Type: "subscribe", Payload: operation}}, 4400},
		"subscribe without a payload":        {[]any{in, frame{ID: "1", Type: "subscribe"}}, 4400},
		"subscribe with another payload":     {[]any{in, frame{ID: "1", Type: "subscribe", Payload: "text"}}, 4400},
		"no connection_init in time":         {nil, 4408},
		"a frame of more than 256 kibibytes": {[]any{in, strings.Repeat(" ", 1<<18+1)}, websocket.CloseMessageTooBig},
		"a huge frame":                       {[]any{in, strings.Repeat(" ", 1<<22)}, websocket.CloseMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.Dial()
			for _, message := range c.say {
				if text, ok := message.(string); ok {
					_ = s.WriteMessage(websocket.TextMessage, []byte(text))
				} else {
					s.Say(message.(frame))
				}
			}
			if code := s.Closed(); code != c.code {
				t.Errorf("closed with %d, not %d", code, c.code)
			}
		})
	}
	w.Until("all sockets are gone", func() bool { return !strings.Contains(w.Log.String(), "panic") && connections(w) == 0 })
}

func connections(w *world) int { return w.App.Connections() }

func TestAnotherSubprotocolIsRefused(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	for _, protocols := range [][]string{nil, {"graphql-ws"}, {"graphql-transport-ws2"}} {
		if _, response, err := w.TryDial(nil, protocols...); err == nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %v %v", protocols, response, err)
		}
	}
	s, _, err := w.TryDial(nil, "graphql-ws", "graphql-transport-ws")
	if err != nil || s.Subprotocol() != "graphql-transport-ws" {
		t.Errorf("the right one was not chosen of two: %v", err)
	}
}

func TestCompleteStopsAStreamAndFreesItsID(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	s := w.Connect(w.Admin)
	s.Watch("1", "")
	s.Say(frame{ID: "1", Type: "complete"})
	s.Say(frame{ID: "never there", Type: "complete"})
	s.Watch("1", `... on MessageAdded { message { text } }`) // the id is free again
	w.Hears(w.Customer("Ada"), "hello")
	for added := 0; added == 0; {
		f := s.Read()
		if f.Type != "next" {
			t.Fatalf("%+v", f)
		}
		for _, e := range f.Get("chatEvents.events").([]any) {
			if apptest.Get(e, "__typename") == "MessageAdded" {
				if added++; apptest.Get(e, "message.text") != "hello" {
					t.Errorf("the stream that was completed still speaks: %v", e)
				}
			}
		}
	}
}

func TestTheSixtyFifthOperationAtOnceIsRefusedAndTheOthersGoOn(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	s := w.Connect(w.Admin)
	for i := range 64 {
		s.Watch(fmt.Sprint(i), "")
	}
	s.Subscribe("64", watch, nil)
	if f := s.Read(); f.ID != "64" || f.Type != "error" || apptest.Get(f.Payload, "0.extensions.code") != "RATE_LIMITED" {
		t.Errorf("%+v", f)
	}
	w.Hears(w.Customer("Ada"), "hello")
	heard := map[string]bool{}
	for len(heard) < 64 {
		f := s.Read()
		if f.Type != "next" || f.ID == "64" {
			t.Fatalf("%+v", f)
		}
		heard[f.ID] = true
	}
	s.Say(frame{ID: "0", Type: "complete"})
	w.Until("there is room for another", func() bool {
		s.Subscribe("query", `{ __typename }`, nil)
		for {
			if f := s.Read(); f.ID == "query" && f.Type != "next" {
				return f.Type == "complete"
			}
		}
	})
}

func TestASocketEndsWithItsToken(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Environ: []string{"PARLEY_ACCESS_TOKEN_TTL=2s"}})
	sockets := []*apptest.Socket{w.Connect(w.SignIn(apptest.AdminEmail)), w.Connect(w.AddMachine("Importer", operator.RoleIntegrator))}
	for _, s := range sockets {
		s.Watch("1", "")
	}
	start := time.Now()
	for _, s := range sockets {
		if code := s.Closed(); code != 4403 || time.Since(start) > 5*time.Second {
			t.Errorf("closed with %d after %v", code, time.Since(start))
		}
	}
	w.Until("nothing is left of it", func() bool { return connections(w) == 0 })
}

func TestAClientThatDoesNotAnswerPingsIsDropped(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Timing: edge.Timing{Ping: 300 * time.Millisecond}})
	lively, mute := w.Connect(w.Admin), w.Connect(w.Admin)
	mute.SetPingHandler(func(string) error { return nil })
	done := make(chan int, 1)
	go func() { done <- mute.Closed() }()
	pings := 0
	answer := lively.PingHandler()
	lively.SetPingHandler(func(text string) error { pings++; return answer(text) })
	go func() { // the handler runs within a read
		<-done
		_ = lively.WriteJSON(frame{Type: "ping"})
	}()
	if f := lively.Read(); f.Type != "pong" || pings == 0 {
		t.Errorf("%+v after %d pings", f, pings)
	}
	w.Until("the lively one alone is there", func() bool { return connections(w) == 1 })
}

func TestForeignOriginsAreRefused(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Environ: []string{"PARLEY_ALLOWED_ORIGINS=https://spa.example"}})
	for origin, status := range map[string]int{
		"https://evil.example": http.StatusForbidden, "null": http.StatusForbidden, "https://spa.example.evil.example": http.StatusForbidden,
		"http://parley.test.evil.example": http.StatusForbidden,
		"https://spa.example":             http.StatusSwitchingProtocols, "http://parley.test": http.StatusSwitchingProtocols, w.URL: http.StatusSwitchingProtocols, "": http.StatusSwitchingProtocols,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		_, response, err := w.TryDial(header, "graphql-transport-ws")
		if response == nil || response.StatusCode != status {
			t.Errorf("%q: %v %v", origin, response, err)
		}
	}
}

func TestNoMoreConnectionsThanAllowedAreLetIn(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Environ: []string{"PARLEY_MAX_CONNECTIONS=2"}})
	s := w.Connect(w.Admin)
	stream := openStream(t, w, w.Admin, watch)
	_, response, err := w.TryDial(nil, "graphql-transport-ws")
	if err == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a third socket: %v", response)
	}
	if r := tryStream(t, w, w.Admin, watch); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third stream: %v", r)
	}
	w.Admin.Must(`{ viewer { role } }`, nil) // what is short goes on
	_ = s.Close()
	stream.Close()
	w.Until("their places are free", func() bool { return connections(w) == 0 })
	w.Connect(w.Admin)
}

func TestDrainingSendsEverybodyAwayAndTheProcessEnds(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		var all []*apptest.Socket
		for range 20 {
			s := w.Connect(w.Admin)
			s.Watch("1", "")
			all = append(all, s)
		}
		unasked := w.Dial() // not even acknowledged
		stream := openStream(t, w, w.Admin, watch)
		w.Stopping()
		for _, s := range append(all, unasked) {
			if code := s.Closed(); code != websocket.CloseGoingAway {
				t.Errorf("closed with %d", code)
			}
		}
		for event := stream.Next(); event != ""; event = stream.Next() {
			if strings.HasPrefix(event, "event: complete") {
				t.Error("the stream says that it is complete: its client will not come again")
			}
		}
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestADrainDuringManyHandshakesHarmsNobody(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	dialed := make(chan int, 50)
	for range 50 {
		go func() {
			s, _, err := w.TryDial(nil, "graphql-transport-ws")
			if err != nil {
				dialed <- websocket.CloseGoingAway // refused: as good
				return
			}
			dialed <- s.Closed()
		}()
	}
	w.Until("some are in", func() bool { return connections(w) > 5 })
	w.Stopping()
	for range 50 {
		if code := <-dialed; code != websocket.CloseGoingAway && code != 0 { // 0: its handshake came too late
			t.Errorf("closed with %d", code)
		}
	}
	<-w.Ended()
}
