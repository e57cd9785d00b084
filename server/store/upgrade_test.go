package store_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"parley/ent/chat"
	"parley/ent/migrations"
	"parley/ent/work"
	"parley/server/store"
	"parley/server/store/storetest"
)

// firstVersion is a database as the first migration leaves it.
func firstVersion(t *testing.T, postgres bool) *store.Store {
	t.Helper()
	var s *store.Store
	folder, dialect := "sqlite", goose.DialectSQLite3
	if postgres {
		folder, dialect, s = "postgres", goose.DialectPostgres, storetest.Postgres(t)
		_, err := s.DB.ExecContext(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		must(t, err)
	} else {
		var err error
		s, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "old.db"))
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
	}
	files, err := fs.Sub(migrations.FS, folder)
	must(t, err)
	provider, err := goose.NewProvider(dialect, s.DB, files)
	must(t, err)
	_, err = provider.UpTo(t.Context(), 1)
	must(t, err)
	return s
}

// id is the n-th of made-up ids.
func id(n byte) uuid.UUID { return uuid.UUID{0: 1, 15: n} }

const (
	anHourAgo  = "2026-11-20 09:11:12.345678+00:00"
	aMomentAgo = "2026-11-20 10:11:12.345678+00:00"
)

// oldRows are an open and a completed chat of one customer.
var oldRows = []string{
	`INSERT INTO queues (id, name, created_at) VALUES ('` + id(1).String() + `', 'Sales', '` + anHourAgo + `')`,
	`INSERT INTO channels (id, provider, external_id, name, state, active, token, created_at, queue_id)
		VALUES ('` + id(2).String() + `', 'FACEBOOK_MESSENGER', '1000', 'Page', 'CONNECTED', true, 'x', '` + anHourAgo + `', '` + id(1).String() + `')`,
	`INSERT INTO contacts (id, name, created_at) VALUES ('` + id(3).String() + `', 'Ann', '` + anHourAgo + `')`,
	`INSERT INTO identities (id, external_id, last_inbound_at, created_at, channel_id, contact_id)
		VALUES ('` + id(4).String() + `', 'ann', '` + aMomentAgo + `', '` + anHourAgo + `', '` + id(2).String() + `', '` + id(3).String() + `')`,
	oldChat(5, "COMPLETED", anHourAgo),
	oldChat(6, "WAITING", aMomentAgo),
	`INSERT INTO messages (id, channel_id, external_id, direction, author_kind, content_kind, text, sent_at, created_at, chat_id)
		VALUES ('` + id(7).String() + `', '` + id(2).String() + `', 'm_1', 'INBOUND', 'CONTACT', 'TEXT', 'Grüße', '` + aMomentAgo + `', '` + aMomentAgo + `', '` + id(6).String() + `')`,
}

func oldChat(n byte, status, at string) string {
	return `INSERT INTO chats (id, status, last_message_at, opened_at, created_at, channel_id, identity_id, contact_id, queue_id) VALUES ('` +
		id(n).String() + `', '` + status + `', '` + at + `', '` + at + `', '` + at + `', '` + id(2).String() + `', '` + id(4).String() + `', '` + id(3).String() + `', '` + id(1).String() + `')`
}

func TestRowsOfTheFirstVersionAreWhatTheyWereAfterAllMigrations(t *testing.T) {
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(name, func(t *testing.T) {
			s := firstVersion(t, postgres)
			for _, row := range oldRows {
				_, err := s.DB.ExecContext(t.Context(), row)
				must(t, err)
			}
			must(t, s.Migrate(context.Background()))

			at := time.Date(2026, 11, 20, 10, 11, 12, 345678000, time.UTC)
			open, err := s.Client().Chat.Query().Where(chat.StatusEQ(chat.StatusWaiting)).WithQueue().WithIdentity().Only(t.Context())
			must(t, err)
			if !open.LastMessageAt.Equal(at) || open.LastInboundAt == nil || !open.LastInboundAt.Equal(at) {
				t.Errorf("the open chat: %v", open)
			}
			if open.ID != id(6) || open.Edges.Queue.Name != "Sales" || open.Edges.Identity.ExternalID != "ann" {
				t.Errorf("what it points at: %v", open)
			}
			completed, err := s.Client().Chat.Get(t.Context(), id(5))
			must(t, err)
			if completed.LastInboundAt != nil || !completed.LastMessageAt.Equal(at.Add(-time.Hour)) {
				t.Errorf("the completed chat: %v", completed)
			}
			said, err := s.Client().Message.Query().Only(t.Context())
			must(t, err)
			if said.Text != "Grüße" || said.ChatID != open.ID || *said.ExternalID != "m_1" {
				t.Errorf("its message: %v", said)
			}
			due, err := s.Client().Work.Query().Where(work.Lane("check:"+id(2).String()), work.Kind("check"), work.RunAtLT(time.Now())).Count(t.Context())
			must(t, err)
			if due != 1 {
				t.Errorf("%d checks of the channel are due", due)
			}
			var minutes int
			row := s.DB.QueryRowContext(t.Context(), s.SQL("SELECT count(*) FROM chats WHERE last_minute = $1"), at.Truncate(time.Minute))
			must(t, row.Scan(&minutes))
			if minutes != 1 {
				t.Errorf("%d chats are listed under the minute of one", minutes)
			}
		})
	}
}
