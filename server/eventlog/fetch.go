package eventlog

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/event"
	"parley/ent/schema"
)

// after are the events after $1, at most $2, and on every row where the log is
// trimmed to. That is one statement: it is asked on each commit, and trimming in
// between cannot be missed.
const after = `SELECT t.trimmed_to, e.id, e.at, e.kind, e.chat_id, e.message_id, e.channel_id, e.operator_id, e.audience, e.audience_before, e.facts
	FROM event_epochs t LEFT JOIN (SELECT * FROM events WHERE id > $1 ORDER BY id LIMIT $2) e ON TRUE ORDER BY e.id`

// fetch reads from the database.
func (l *Log) fetch(ctx context.Context, position int64, limit int) ([]Entry, error) {
	rows, err := l.store.Query(ctx, after, position, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		trimmedTo, e, err := scan(rows)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read an event: %w", err)
		case position < trimmedTo:
			return nil, ErrTrimmed
		case e != nil:
			entries = append(entries, Entry{Event: e})
		}
	}
	if err := rows.Err(); err != nil || len(entries) == 0 {
		return nil, err
	}
	return entries, l.load(ctx, entries)
}

// scan reads a row; the event is nil where the row has none.
func scan(rows *sql.Rows) (trimmedTo int64, _ *ent.Event, err error) {
	var (
		id                      *int64
		at                      *time.Time
		kind                    *string
		chat, message           *uuid.UUID
		channel, operator       *uuid.UUID
		audience, before, facts []byte
	)
	err = rows.Scan(&trimmedTo, &id, &at, &kind, &chat, &message, &channel, &operator, &audience, &before, &facts)
	if err != nil || id == nil {
		return trimmedTo, nil, err
	}
	e := &ent.Event{ID: *id, At: at.UTC(), Kind: event.Kind(*kind), ChatID: chat, MessageID: message, ChannelID: channel, OperatorID: operator}
	if err := json.Unmarshal(audience, &e.Audience); err != nil {
		return 0, nil, err
	}
	if before != nil {
		e.AudienceBefore = &schema.Audience{}
		if err := json.Unmarshal(before, e.AudienceBefore); err != nil {
			return 0, nil, err
		}
	}
	if facts != nil {
		err = json.Unmarshal(facts, &e.Facts)
	}
	return trimmedTo, e, err
}
