package desk

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/operator"
	"parley/server/filled"
	"parley/server/globalid"
	"parley/server/paging"
	"parley/server/store/storetest"
)

// The tables that grow without end are reached by the index that is meant.
func TestHotReadsUseTheirIndexes(t *testing.T) {
	s := storetest.Postgres(t)
	size := filled.Size{Channels: 5, Queues: 20, Operators: 400, Chats: 20_000, Open: 20, Messages: 3}
	if err := filled.Fill(ctx, s, size); err != nil {
		t.Fatal(err)
	}
	viewer := func(role operator.Role, queues ...int) Viewer {
		v := Viewer{Operator: &ent.Operator{ID: filled.Row(1), Role: role}}
		for _, q := range queues {
			v.Queues = append(v.Queues, filled.Row(q))
		}
		return v
	}
	open := []chat.Status{chat.StatusWaiting, chat.StatusInProgress}
	one := []globalid.ID{globalid.Of("queue", filled.Row(3))}
	slice := must(paging.Args{}.Check(paging.ByTime))
	inboxOf := func(v Viewer, f ChatFilter) func() (string, []any) {
		return func() (string, []any) {
			in := &inbox{statement{store: s}, v, f, slice.ByMinute(lastMinute)}
			text := in.sql()
			return text, in.args
		}
	}
	const lanes, byTime = "chat_lanes", "chat_last_minute"
	for name, c := range map[string]struct {
		statement func() (string, []any)
		indexes   []string
	}{
		"a supervisor's, all":             {inboxOf(viewer(operator.RoleSupervisor), ChatFilter{}), []string{byTime}},
		"a supervisor's, open":            {inboxOf(viewer(operator.RoleSupervisor), ChatFilter{Status: open}), []string{lanes}},
		"a supervisor's, open of a queue": {inboxOf(viewer(operator.RoleSupervisor), ChatFilter{Status: open, Queues: one}), []string{lanes}},
		"a supervisor's, of a queue":      {inboxOf(viewer(operator.RoleSupervisor), ChatFilter{Queues: one}), []string{lanes}},
		"an operator's, open of a queue":  {inboxOf(viewer(operator.RoleOperator, 3, 4), ChatFilter{Status: open, Queues: one}), []string{lanes}},
		"an operator's, open":             {inboxOf(viewer(operator.RoleOperator, 3, 4), ChatFilter{Status: open}), []string{lanes, "segment_operator_id_chat_id"}},
		"an operator's, all":              {inboxOf(viewer(operator.RoleOperator, 3, 4), ChatFilter{}), []string{lanes, "segment_operator_id_chat_id"}},
		"the last messages of some chats": {func() (string, []any) {
			st := &statement{store: s}
			text := st.messages([]uuid.UUID{filled.Row(1), filled.Row(2)}, slice)
			return text, st.args
		}, []string{"message_chat_id_sent_at_id"}},
		"who writes": {func() (string, []any) {
			st := &statement{store: s}
			text := "SELECT i.*" + st.people([]person{{filled.Row(1), "person-1"}, {filled.Row(2), "person-2"}})
			return text, st.args
		}, []string{"identity_channel_id_external_id"}},
		"what is stored already": {func() (string, []any) {
			st := &statement{store: s}
			text := "SELECT m.id" + st.provided([]uuid.UUID{filled.Row(1)}, []string{"m_1", "m_2"})
			return text, st.args
		}, []string{"message_external"}},
	} {
		text, args := c.statement()
		var used []string
		storetest.Explain(t, s, text, args...).Each(func(p storetest.Plan) {
			used = append(used, p.Index)
			if p.Node == "Seq Scan" && slices.Contains([]string{"chats", "messages", "segments", "contacts", "identities"}, p.Table) {
				t.Errorf("%s: reads all %s", name, p.Table)
			}
			if p.Node == "Sort" && p.Rows > 10_000 {
				t.Errorf("%s: sorts %.0f rows", name, p.Rows)
			}
		})
		for _, index := range c.indexes {
			if !slices.Contains(used, index) {
				t.Errorf("%s: does not use %s but %v", name, index, used)
			}
		}
	}
}
