package store_test

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"parley/server/store"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestMigrationsMakeExactlyTheTablesThatTheSchemaDeclares(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var missing bytes.Buffer
		if err := s.Client().Schema.WriteTo(context.Background(), &missing); err != nil {
			t.Fatal(err)
		}
		rest := strings.ReplaceAll(withoutPartialIndexes(missing.String()), messagesOfChats, "")
		if rest != "" {
			t.Errorf("write a new migration with:\n%s", rest)
		}
	})
}

// messagesOfChats is left out on PostgreSQL, see the migration.
const messagesOfChats = `ALTER TABLE "messages" ADD CONSTRAINT "messages_chats_chat" FOREIGN KEY ("chat_id") REFERENCES "chats" ("id") ON DELETE NO ACTION;` + "\n"

// withoutPartialIndexes leaves out what differs only in spelling: PostgreSQL
// gives an index's condition back with casts added. That the conditions work is
// for the tests of what they hold.
func withoutPartialIndexes(statements string) string {
	for _, m := range regexp.MustCompile(`(?m)^CREATE (?:UNIQUE )?INDEX "(\w+)".* WHERE .*\n`).FindAllStringSubmatch(statements, -1) {
		statements = strings.ReplaceAll(statements, m[0], "")
		statements = strings.ReplaceAll(statements, "DROP INDEX \""+m[1]+"\";\n", "")
	}
	return statements
}

func TestMigratingAgainChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		before := epoch(t, s)
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		if after := epoch(t, s); after != before {
			t.Errorf("the event log's epoch went from %s to %s", before, after)
		}
	})
}

func epoch(t *testing.T, s *store.Store) string {
	t.Helper()
	row, err := s.Client().EventEpoch.Query().Only(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return row.Epoch
}
