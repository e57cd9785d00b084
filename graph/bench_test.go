package graph_test

import (
	"testing"

	"parley/server/app/apptest"
	"parley/server/filled"
	"parley/server/globalid"
)

const (
	inboxPage = `query($queue: [ID!]) { chats(first: 25, filter: {queueIds: $queue, status: [WAITING, IN_PROGRESS]}) { nodes {
		id status unreadCount lastMessageAt contact { id name pictureUrl } channel { id name state } operator { id name }
		messages(last: 5) { nodes { id direction text sentAt } } } } }`
	historyPage = `query($chat: ID!) { node(id: $chat) { ... on Chat { messages(last: 50) { nodes { id direction text sentAt } } } } }`
)

// What the client and the database cost is in the time, what this process
// allocates for both sides in the allocations.
func BenchmarkInbox(b *testing.B) {
	b.Run("short chats", func(b *testing.B) { benchmarkRead(b, 20, inboxPage, "chats.nodes.24.messages.nodes.4.id") })
	b.Run("long chats", func(b *testing.B) { benchmarkRead(b, 1000, inboxPage, "chats.nodes.24.messages.nodes.4.id") })
}

func BenchmarkHistory(b *testing.B) { benchmarkRead(b, 60, historyPage, "node.messages.nodes.49.id") }

func benchmarkRead(b *testing.B, messages int, query, last string) {
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		b.Run(name, func(b *testing.B) {
			w := apptest.Start(b, apptest.Options{Postgres: postgres})
			size := filled.Size{Channels: 5, Queues: 4, Operators: 10, Chats: 200, Open: 25, Messages: messages}
			if err := filled.Fill(b.Context(), w.Store, size); err != nil {
				b.Fatal(err)
			}
			variables := vars{"queue": globalid.Of("queue", filled.Row(1)).String(), "chat": globalid.Of("chat", filled.Row(1)).String()}
			if a := w.Admin.Must(query, variables); a.Get(last) == nil {
				b.Fatal(a.Body)
			}
			b.ReportAllocs()
			for b.Loop() {
				w.Admin.Must(query, variables)
			}
		})
	}
}
