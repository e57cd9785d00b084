package desk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/event"
	"parley/ent/operator"
	"parley/ent/queuemember"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
)

func TestANameThatIsTakenIsRefusedWithTheExistingID(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.person("op", operator.RoleOperator).Operator
		_, err := b.desk.CreateOperator(ctx, b.admin, NewOperator{Email: op.Email, Name: "Other", Role: operator.RoleOperator})
		b.refused(err, fault.NameTaken, op.GlobalID().String())
		_, err = b.desk.CreateQueue(ctx, b.admin, " Support ", nil, "")
		b.refused(err, fault.NameTaken, b.queue.GlobalID().String())
		other := b.newQueue("Other")
		_, err = b.desk.UpdateQueue(ctx, QueueChange{ID: other.GlobalID(), Name: pointer("Support"), Members: []globalid.ID{op.GlobalID()}})
		b.refused(err, fault.NameTaken, b.queue.GlobalID().String())
		equal(b, "members of the queue that kept its name", must(b.client().QueueMember.Query().Count(ctx)), 0)
		again := b.connect("page")
		equal(b, "page connected again", again.ID, b.channel.ID)
		equal(b, "stays active", again.Active, true)
	})
}

func TestASetUpThatIsRepeatedWithItsKeyDoesNothingMore(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.person("op", operator.RoleOperator).Operator
		members := []globalid.ID{op.GlobalID()}
		first := must(b.desk.CreateQueue(ctx, b.admin, "New", members, "key"))
		equal(b, "queue", must(b.desk.CreateQueue(ctx, b.admin, "New", members, "key")).ID, first.ID)
		_, err := b.desk.CreateQueue(ctx, b.admin, "New", nil, "key")
		b.refused(err, fault.KeyReused, "")
		person := NewOperator{Email: "new@x", Name: "New", Role: operator.RoleOperator, Key: "key"}
		made := must(b.desk.CreateOperator(ctx, b.admin, person))
		person.PasswordHash = "hashed with another salt"
		equal(b, "operator", must(b.desk.CreateOperator(ctx, b.admin, person)).ID, made.ID)
		person.Name = "Another"
		_, err = b.desk.CreateOperator(ctx, b.admin, person)
		b.refused(err, fault.KeyReused, "")
	})
}

func TestAChangeOfAnOlderVersionIsRefused(t *testing.T) {
	onDesk(t, func(b *bench) {
		q := QueueChange{ID: b.queue.GlobalID(), Name: pointer("A"), ExpectedVersion: pointer(b.queue.Version)}
		equal(b, "version", must(b.desk.UpdateQueue(ctx, q)).Version, b.queue.Version+1)
		_, err := b.desk.UpdateQueue(ctx, q)
		b.refused(err, fault.Conflict, "the version is 2, not 1")
		c := ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Language: pointer("de")}
		c.ExpectedVersion = pointer(b.channel.Version)
		equal(b, "version", must(b.desk.UpdateChannel(ctx, audit.Actor{}, c)).Version, b.channel.Version+1)
		_, err = b.desk.UpdateChannel(ctx, audit.Actor{}, c)
		b.refused(err, fault.Conflict, "read it again")
	})
}

func TestOfSeveralChangesOfOneVersionOneIsMade(t *testing.T) {
	onDesk(t, func(b *bench) {
		desks := []*Desk{b.desk, b.replica()}
		errs := make([]error, 8)
		together(8, func(i int) {
			_, errs[i] = desks[i%2].UpdateQueue(ctx, QueueChange{ID: b.queue.GlobalID(), ExpectedVersion: pointer(int64(1))})
		})
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			b.refused(err, fault.Conflict, "")
		}
		equal(b, "changes", made, 1)
		equal(b, "version", must(b.client().Queue.Get(ctx, b.queue.ID)).Version, 2)
	})
}

func TestWhatCannotBeIsRefusedWithItsField(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.person("op", operator.RoleOperator)
		create := func(v Viewer, name string, role operator.Role) error {
			_, err := b.desk.CreateOperator(ctx, v, NewOperator{Email: "n@x", Name: name, Role: role})
			return err
		}
		newQueue := func(name string, members ...globalid.ID) error {
			_, err := b.desk.CreateQueue(ctx, b.admin, name, members, "")
			return err
		}
		_, none := b.desk.UpdateQueue(ctx, QueueChange{ID: globalid.Of("queue", uuid.New())})
		_, kind := b.desk.UpdateQueue(ctx, QueueChange{ID: globalid.Of("channel", b.queue.ID)})
		_, channel := b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: globalid.Of("queue", b.channel.ID)}})
		_, queue := b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Queue: &Queued{ID: globalid.Of("queue", uuid.New())}})
		_, tag := b.desk.UpdateChannel(ctx, audit.Actor{}, ChannelChange{ChannelRef: ChannelRef{ID: b.channel.GlobalID()}, Language: pointer("not a language")})
		_, reason := b.desk.SetState(ctx, op, operator.StatePaused, strings.Repeat("x", 201))
		for name, step := range map[string]struct {
			err   error
			code  fault.Code
			field string
		}{
			"no name":               {create(b.admin, " \x00 ", operator.RoleOperator), fault.Invalid, "name"},
			"long name":             {create(b.admin, strings.Repeat("я", 201), operator.RoleOperator), fault.Invalid, "name"},
			"role of a machine":     {create(b.admin, "N", operator.RoleBot), fault.Invalid, "role"},
			"admin by an operator":  {create(op, "N", operator.RoleAdmin), fault.Invalid, "role"},
			"queue without a name":  {newQueue(""), fault.Invalid, "name"},
			"unknown member":        {newQueue("Q", globalid.Of("operator", uuid.New())), fault.Invalid, "operatorIds"},
			"member of other kind":  {newQueue("Q", b.queue.GlobalID()), fault.Invalid, "operatorIds"},
			"no such queue":         {none, fault.NotFound, "id"},
			"queue of other kind":   {kind, fault.NotFound, "id"},
			"channel of other kind": {channel, fault.NotFound, "id"},
			"channel's queue":       {queue, fault.Invalid, "queueId"},
			"language":              {tag, fault.Invalid, "language"},
			"reason":                {reason, fault.Invalid, "reason"},
		} {
			f, ok := step.err.(*fault.Error)
			if !ok || f.Code != step.code || f.Field != step.field {
				b.Errorf("%s: %v", name, step.err)
			}
		}
		equal(b, "people", must(b.client().Operator.Query().Count(ctx)), 2)
		equal(b, "queues", must(b.client().Queue.Query().Count(ctx)), 1)
	})
}

func TestAnOperatorsStateKeepsItsReasonOnlyWhilePaused(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.person("op", operator.RoleOperator)
		o := must(b.desk.SetState(ctx, op, operator.StatePaused, "lunch\x00 "))
		equal(b, "reason", o.PauseReason, "lunch")
		o = must(b.desk.SetState(ctx, op, operator.StateOnline, "lunch"))
		equal(b, "reason", o.PauseReason, "")
		equal(b, "version", o.Version, 3)
	})
}

func TestWhoComesToOrLeavesAQueueIsToldOfTheirRights(t *testing.T) {
	onDesk(t, func(b *bench) {
		id := func(v Viewer) globalid.ID { return v.Operator.GlobalID() }
		ops := b.operators("a", "b", "c")
		d := b.person("d", operator.RoleOperator)
		told := func() map[uuid.UUID]int {
			n := map[uuid.UUID]int{}
			for _, e := range must(b.client().Event.Query().Where(event.KindEQ(event.KindRightsChanged)).All(ctx)) {
				n[*e.OperatorID]++
			}
			return n
		}
		b.members(b.queue, id(ops[0]), id(ops[0]), id(ops[1]), id(d)) // c goes, d comes, a is named twice
		for v, want := range map[*Viewer]int{&ops[0]: 1, &ops[1]: 1, &ops[2]: 2, &d: 1} {
			equal(b, "events for "+v.Operator.Name, told()[v.id()], want)
		}
		must(b.desk.UpdateQueue(ctx, QueueChange{ID: b.queue.GlobalID(), Name: pointer("Renamed")})) // nil leaves the members
		equal(b, "members", members(b), 3)
		b.members(b.queue)
		equal(b, "members", members(b), 0)
		equal(b, "events for a", told()[ops[0].id()], 2)
	})
}

func members(b *bench) int {
	return must(b.client().QueueMember.Query().Where(queuemember.QueueID(b.queue.ID)).Count(ctx))
}

func TestAProfileNamesTheContactInEveryOpenChat(t *testing.T) {
	onDesk(t, func(b *bench) {
		c := b.wait("ann-1234")
		equal(b, "until it is read", must(c.QueryContact().Only(ctx)).Name, "Guest 1234")
		who := must(b.desk.Unprofiled(ctx, c.IdentityID))
		equal(b, "channel", who.Edges.Channel.ID, b.channel.ID)
		if err := b.desk.SetProfile(ctx, who, Profile{Name: "Ann", Locale: "de_DE"}); err != nil {
			b.Fatal(err)
		}
		if err := b.desk.SetProfile(ctx, who, Profile{PictureURL: "u"}); err != nil {
			b.Fatal(err)
		}
		got := must(c.QueryContact().Only(ctx))
		equal(b, "contact", got.Name+got.Locale+got.PictureURL, "Annde_DEu")
		equal(b, "version of the contact", got.Version, 3)
		equal(b, "version of the chat", b.chat(c.ID).Version, c.Version+2)
	})
}

func TestListsHoldWhatTheViewerMaySee(t *testing.T) {
	onDesk(t, func(b *bench) {
		ops := b.operators("a", "b")
		stranger := b.person("stranger", operator.RoleOperator)
		other := b.newQueue("Other")
		b.live("elsewhere", other)
		mine := b.wait("ann")
		hidden := wrote("eve", "eve", noon)
		hidden.Page = "elsewhere"
		b.applied(hidden)
		theirs := b.newest("eve")
		nodes := []ent.Noder{mine, theirs, must(mine.QueryContact().Only(ctx)), must(theirs.QueryContact().Only(ctx)),
			b.messages(mine)[0], b.messages(theirs)[0], b.queue, other, b.channel, stranger.Operator, ops[1].Operator}
		for name, step := range map[string]struct {
			v     Viewer
			want  string // of chats, contacts, channels, queues, operators
			nodes string
		}{
			"admin":    {b.admin, "2 2 2 2 4", "yyyyyyyyyyy"},
			"member":   {ops[0], "1 1 1 1 2", "ynynynynyny"},
			"stranger": {stranger, "0 0 0 0 1", "nnnnnnnnnyn"},
			"nobody":   {Viewer{}, "0 0 0 0 0", "nnnnnnnnnnn"},
		} {
			equal(b, "lists of "+name, sizes(b, step.v), step.want)
			got := ""
			for _, n := range nodes {
				id := n.(interface{ GlobalID() globalid.ID }).GlobalID()
				got += map[bool]string{true: "y", false: "n"}[b.sees(step.v, id)]
			}
			equal(b, "nodes of "+name, got, step.nodes)
		}
		equal(b, "unknown kind", b.sees(b.admin, globalid.Of("nothing", mine.ID)), false)
	})
}

func sizes(b *bench, v Viewer) string {
	var p paging.Args
	return fmt.Sprint(
		len(must(b.desk.Chats(ctx, v, p, ChatFilter{})).Nodes), " ", len(must(b.desk.Contacts(ctx, v, p)).Nodes), " ",
		len(must(b.desk.Channels(ctx, v, p, false)).Nodes), " ", len(must(b.desk.Queues(ctx, v, p)).Nodes), " ",
		len(must(b.desk.Operators(ctx, v, p)).Nodes))
}
