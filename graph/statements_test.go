package graph_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/store"
)

// statements notes what requests over HTTP have the database do. What the app
// does by itself meanwhile does not count: its contexts know of no server.
type statements struct {
	mu   sync.Mutex
	list []string
}

func (s *statements) note(ctx context.Context, query string) {
	if ctx.Value(http.ServerContextKey) != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, query)
	}
}

// of gives what f has the database do.
func (s *statements) of(f func()) []string {
	s.mu.Lock()
	s.list = nil
	s.mu.Unlock()
	f()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

// watch puts the counter between a store and its driver.
func (s *statements) watch(db *store.Store) {
	field := reflect.ValueOf(db.DB).Elem().FieldByName("connector") // which sql.DB does not give away
	connector := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Interface().(driver.Connector)
	conns := db.DB.Stats().MaxOpenConnections
	db.DB = sql.OpenDB(countingConnector{connector, s})
	db.DB.SetMaxOpenConns(conns)
	db.DB.SetMaxIdleConns(conns)
}

type countingConnector struct {
	driver.Connector
	*statements
}

func (c countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &countingConn{conn.(connection), c.statements}, nil
}

// connection is what both drivers' connections can do.
type connection interface {
	driver.Conn
	driver.QueryerContext
	driver.ExecerContext
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type countingConn struct {
	connection
	*statements
}

func (c *countingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note(ctx, query)
	return c.connection.QueryContext(ctx, query, args)
}

func (c *countingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note(ctx, query)
	return c.connection.ExecContext(ctx, query, args)
}

// PrepareContext stands for one statement however many rows it is run for, as
// PostgreSQL has one for them.
func (c *countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.note(ctx, query)
	return c.connection.PrepareContext(ctx, query)
}

func (c *countingConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.connection.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

const (
	inboxQuery = `query($n: Int) { eventCursor chats(first: $n) { pageInfo { hasNextPage } nodes { id version status unreadCount
		contact { id name } channel { id name } operator { id name } queue { id name } previous { id }
		messages(last: 5) { nodes { id text status author { kind name operator { id } contact { id } } replyTo { id text } } } } } }`
	historyQuery = `query($id: ID!) { node(id: $id) { ... on Chat { receipts { readUntil } messages(last: 100) { nodes { id text status sentAt
		author { kind name operator { id } contact { id } } replyTo { id text } deliveries { id status failure { reason } } chat { id contact { name } } } } } } }`
	eventsQuery = `query($after: Cursor) { events(after: $after) { events { ... on MessageAdded { message { id text status author { name } chat { id unreadCount
		contact { name } channel { name } queue { name } operator { name } previous { id } lastMessage { id } } } } ... on ChatOpened { chat { id contact { name } } } } } }`
	acceptMutation   = `mutation($id: ID!) { acceptChat(input: {chatId: $id}) { chat { id status operator { name } queue { name } contact { name } } userErrors { code message } } }`
	sendMutation     = `mutation($id: ID!) { sendMessage(input: {chatId: $id, text: "hello", idempotencyKey: "1"}) { message { id status author { name } deliveries { status } chat { id } } userErrors { code message } } }`
	readMutation     = `mutation($id: ID!) { markChatRead(input: {chatId: $id}) { chat { id unreadCount } userErrors { code message } } }`
	completeMutation = `mutation($id: ID!) { completeChat(input: {chatId: $id}) { chat { id status completedAt } userErrors { code message } } }`
)

// cost is how many statements each operation takes, BEGIN and COMMIT left out:
// on SQLite, and on PostgreSQL, which takes locks. Each first loads the viewer
// with their queues.
var cost = map[string][2]int{
	"inbox":    {5, 5},
	"history":  {8, 8},
	"nodes":    {4, 4}, // and one for each kind
	"events":   {3, 3}, // what they are about was loaded once for all viewers
	"accept":   {12, 12},
	"send":     {15, 16},
	"read":     {4, 4},
	"complete": {6, 6},
}

// past is a cursor after everything that has happened so far, of which the last
// is that somebody changed their state.
func past(w *world, as *client) string {
	cursor := w.Admin.Must(`{ eventCursor }`, nil).String("eventCursor")
	as.Must(`mutation { setOperatorState(input: {state: PAUSED}) { userErrors { code } } }`, nil)
	w.Until("all is past", func() bool {
		a := as.Must(`query($c: Cursor) { events(after: $c) { cursor events { ... on OperatorUpdated { operator { id } } } } }`, vars{"c": cursor})
		cursor = a.String("events.cursor")
		return strings.Contains(a.Body, as.ID)
	})
	return cursor
}

func TestAListCostsTheSameStatementsHoweverLongItIs(t *testing.T) {
	seen := &statements{}
	apptest.Each(t, apptest.Options{Store: seen.watch}, func(t *testing.T, w *world) {
		database, batches := 0, 0
		if w.Options.Postgres {
			database = 1
		}
		check := func(name string, f func()) {
			t.Helper()
			if got := seen.of(f); len(got) != cost[name][database] {
				t.Errorf("%s takes %d statements, not %d:\n%s", name, len(got), cost[name][database], strings.Join(got, "\n"))
			}
		}
		ann := w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		start := past(w, ann)
		go func() { // somebody follows, so that events are in memory
			for head := w.App.Desk.Events().Head(); w.App.Desk.Events().Wait(t.Context(), head) == nil; head++ {
			}
		}()
		for i := range 25 {
			person := w.Customer(fmt.Sprint("Customer ", i))
			first := person.Writes("one")
			for range 5 {
				person.Writes("more")
			}
			person.Replies(first, "an answer")
		}
		if err := w.Facebook.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		var chats []any
		w.Until("all have come", func() bool {
			chats = ann.Must(`{ chats(first: 100) { nodes { id messages(last: 100) { nodes { id } } } } }`, nil).List("chats.nodes")
			for _, c := range chats {
				if len(apptest.Get(c, "messages.nodes").([]any)) != 7 {
					return false
				}
			}
			return len(chats) == 25
		})
		one := apptest.Get(chats[0], "id").(string)

		check("accept", func() { ann.Must(acceptMutation, vars{"id": one}) })
		check("send", func() { ann.Must(sendMutation, vars{"id": one}) })
		check("read", func() { ann.Must(readMutation, vars{"id": one}) })
		for _, n := range []int{5, 25} {
			check("inbox", func() {
				a := ann.Must(inboxQuery, vars{"n": n})
				if len(a.List("chats.nodes")) != n || len(a.List("chats.nodes.3.messages.nodes")) != 5 || a.Get("chats.nodes.3.messages.nodes.4.replyTo.text") != "one" {
					t.Errorf("%s", a.Body)
				}
			})
		}
		check("history", func() {
			a := ann.Must(historyQuery, vars{"id": one})
			if len(a.List("node.messages.nodes")) != 8 {
				t.Errorf("%s", a.Body)
			}
		})
		check("nodes", func() {
			ids := []any{w.Queue, w.Channel}
			for _, c := range chats {
				ids = append(ids, apptest.Get(c, "id"))
			}
			if a := ann.Must(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, vars{"ids": ids}); len(a.List("nodes")) != 27 || a.Get("nodes.26.id") != ids[26] {
				t.Errorf("%s", a.Body)
			}
		})
		check("events", func() {
			if a := ann.Must(eventsQuery, vars{"after": start}); len(a.List("events.events")) < 50 {
				t.Errorf("%s", a.Body)
			}
		})
		// Before anybody watches: a watcher's statements would be counted too.
		check("complete", func() { ann.Must(completeMutation, vars{"id": one}) })
		replay := seen.of(func() {
			socket := w.Connect(ann)
			socket.Subscribe("1", `subscription($c: Cursor) { chatEvents(after: $c) { __typename ... on ChatEventBatch { events {
				... on MessageAdded { message { author { name } status chat { id unreadCount contact { name } } } } ... on ChatUpdated { chat { unreadCount contact { name } } } } } } }`,
				vars{"c": start})
			for f := socket.Read(); f.Get("chatEvents.__typename") != "StreamCaughtUp"; f = socket.Read() {
				batches++
			}
		})
		if len(replay) > 2+batches {
			t.Errorf("%d batches of events take %d statements:\n%s", batches, len(replay), strings.Join(replay, "\n"))
		}
	})
}
