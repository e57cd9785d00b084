package filled_test

import (
	"strings"
	"testing"

	"parley/ent/chat"
	"parley/ent/message"
	"parley/ent/segment"
	"parley/server/filled"
	"parley/server/globalid"
	"parley/server/store"
	"parley/server/store/storetest"
)

func TestAFilledDatabaseHasWhatWasAskedFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		size := filled.Size{Channels: 2, Operators: 3, Queues: 4, Chats: 80, Open: 5, Messages: 6}
		if err := filled.Fill(t.Context(), s, size); err != nil {
			t.Fatal(err)
		}
		c, ctx := s.Client(), t.Context()
		if n := c.Message.Query().CountX(ctx); n != 80*6 {
			t.Errorf("%d messages", n)
		}
		for i := range 4 {
			if n := c.Chat.Query().Where(chat.QueueID(filled.Row(i)), chat.StatusNEQ(chat.StatusCompleted)).CountX(ctx); n != 5 {
				t.Errorf("queue %d has %d open chats", i, n)
			}
		}
		for _, one := range c.Chat.Query().AllX(ctx) {
			all := c.Message.Query().Where(message.ChatID(one.ID)).Order(message.BySentAt(), message.ByID()).AllX(ctx)
			inbound := 0
			for _, m := range all {
				if m.Direction == message.DirectionInbound {
					inbound++
				}
			}
			last := all[len(all)-1]
			if len(all) != 6 || *one.LastMessageID != last.ID || !one.LastMessageAt.Equal(last.SentAt) || int(one.InboundCount) != inbound {
				t.Errorf("%v has %d messages, the last %v", one, len(all), last)
			}
			held := c.Segment.Query().Where(segment.ChatID(one.ID), segment.HolderEQ(segment.HolderOperator)).ExistX(ctx)
			if held != (one.OperatorID != nil) || held == (one.Status == chat.StatusWaiting) {
				t.Errorf("%v was held: %v", one, held)
			}
		}
	})
}

func TestTheAPIsIDsOfAFilledDatabaseEndInTheRowsNumber(t *testing.T) {
	if id := globalid.Of("queue", filled.Row(1234567)).String(); !strings.HasSuffix(id, "000012345670") {
		t.Error(id)
	}
}
