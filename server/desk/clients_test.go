package desk

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/apiclient"
	"parley/ent/message"
	"parley/ent/operator"
	"parley/ent/schema"
	"parley/server/audit"
	"parley/server/fault"
	"parley/server/globalid"
	"parley/server/paging"
)

// newClient makes an API client as the administrator.
func (b *bench) newClient(name string, role operator.Role, scopes ...string) *ent.APIClient {
	b.Helper()
	client, made, err := b.desk.CreateAPIClient(ctx, b.admin, NewAPIClient{Name: name, Role: role, Scopes: scopes, SecretHash: []byte("hash of " + name)})
	if err != nil || !made {
		b.Fatal(made, err)
	}
	return client
}

// machine is an integrator with a token for all its scopes.
func (b *bench) machine(name string, scopes ...string) Viewer {
	b.Helper()
	return must(b.desk.Machine(ctx, b.newClient(name, operator.RoleIntegrator, scopes...).ID, scopes))
}

func TestAMachineHasTheScopesOfItsTokenThatItStillHas(t *testing.T) {
	onDesk(t, func(b *bench) {
		client := b.newClient("Importer", operator.RoleIntegrator, schema.ChatsRead, schema.ChatsWrite)
		for _, step := range []struct{ has, token, want []string }{
			{schema.Scopes, schema.Scopes, schema.Scopes},
			{schema.Scopes, nil, nil},
			{[]string{schema.ChatsRead}, schema.Scopes, []string{schema.ChatsRead}},
			{[]string{schema.ChatsRead}, []string{schema.ChatsWrite}, nil},
			{[]string{}, schema.Scopes, nil},
		} {
			must(b.desk.UpdateAPIClient(ctx, audit.Actor{}, APIClientChange{ID: client.GlobalID(), Scopes: step.has}))
			v := must(b.desk.Machine(ctx, client.ID, step.token))
			equal(b, "scopes", fmt.Sprint(v.Scopes()), fmt.Sprint(step.want))
			equal(b, "sees all", v.SeesAll(), step.want != nil)
			equal(b, "writes", v.Has(schema.ChatsWrite), slices.Contains(step.want, schema.ChatsWrite))
			equal(b, "nobody", v.Nobody(), false)
			equal(b, "id", v.GlobalID(), client.GlobalID())
		}
	})
}

func TestARevokedMachineIsNobody(t *testing.T) {
	onDesk(t, func(b *bench) {
		v := b.machine("Importer", schema.ChatsRead)
		feed := b.follow(v, EventFilter{})
		first := must(b.desk.RevokeAPIClient(ctx, audit.Actor{}, v.GlobalID()))
		equal(b, "version", first.Version, 2)
		equal(b, "again", must(b.desk.RevokeAPIClient(ctx, audit.Actor{}, v.GlobalID())).Version, 2)
		_, err := b.desk.Machine(ctx, v.Machine.ID, schema.Scopes)
		b.refused(err, fault.Unauthenticated, "")
		_, err = feed.Next(ctx)
		b.refused(err, fault.Unauthenticated, "")
		for _, id := range []uuid.UUID{uuid.New(), b.admin.id()} {
			_, err = b.desk.Machine(ctx, id, schema.Scopes)
			b.refused(err, fault.Unauthenticated, "")
		}
		_, err = b.desk.Viewer(ctx, v.Machine.ID)
		b.refused(err, fault.Unauthenticated, "")
		_, err = b.desk.RotateAPIClientSecret(ctx, audit.Actor{}, v.GlobalID(), []byte("other"), nil)
		b.refused(err, fault.Refused, "was revoked")
		equal(b, "secret", string(must(b.client().APIClient.Get(ctx, v.Machine.ID)).SecretHash), "hash of Importer")
	})
}

func TestAMachineWritesWhileAChatWaitsAndHoldsNone(t *testing.T) {
	onDesk(t, func(b *bench) {
		op := b.operators("op")[0]
		writer, reader, blind := b.machine("Writer", schema.ChatsWrite), b.machine("Reader", schema.ChatsRead), b.machine("Blind")
		bot := must(b.desk.Machine(ctx, b.newClient("Bot", operator.RoleBot).ID, nil))
		c := b.wait("ann")
		for v, code := range map[*Viewer]fault.Code{&reader: fault.Refused, &blind: fault.NotFound, &bot: fault.NotFound} {
			_, err := b.desk.Send(ctx, *v, c.GlobalID(), "hello", "")
			b.refused(err, code, "")
			_, err = b.desk.Complete(ctx, *v, c.GlobalID())
			b.refused(err, code, "")
		}
		for _, v := range []Viewer{writer, reader} {
			_, err := b.desk.Accept(ctx, v, c.GlobalID())
			b.refused(err, fault.Refused, "only a person")
			_, err = b.desk.MarkRead(ctx, v, c.GlobalID())
			b.refused(err, fault.Refused, "only a person")
			equal(b, "unread", must(b.desk.Unread(ctx, v, []*ent.Chat{b.chat(c.ID)}))[c.ID], 1)
		}
		sent := must(b.desk.Send(ctx, writer, c.GlobalID(), "hello", "1"))
		equal(b, "author", sent.AuthorKind, message.AuthorKindSystem)
		equal(b, "who", *sent.AuthorID, writer.id())
		equal(b, "again", must(b.desk.Send(ctx, writer, c.GlobalID(), "hello", "1")).ID, sent.ID)
		equal(b, "it waits on", b.chat(c.ID).Status, c.Status)
		must(b.desk.Accept(ctx, op, c.GlobalID()))
		_, err := b.desk.Send(ctx, writer, c.GlobalID(), "two voices", "")
		b.refused(err, fault.Refused, "IN_PROGRESS")
		must(b.desk.Complete(ctx, writer, c.GlobalID()))
		_, err = b.desk.Send(ctx, writer, c.GlobalID(), "too late", "")
		b.refused(err, fault.Refused, "COMPLETED")
	})
}

// Two who use the same key are told apart, though both are of the same role.
func TestAMachinesIdempotencyKeysAreItsOwn(t *testing.T) {
	onDesk(t, func(b *bench) {
		one, other := b.machine("One"), b.machine("Other")
		first := must(b.desk.CreateQueue(ctx, one, "Sales", nil, "1"))
		equal(b, "again", must(b.desk.CreateQueue(ctx, one, "Sales", nil, "1")).ID, first.ID)
		_, err := b.desk.CreateQueue(ctx, other, "Sales", nil, "1")
		b.refused(err, fault.NameTaken, "name")
	})
}

func TestOfSimultaneousCreationsWithOneKeyOneMakesTheSecret(t *testing.T) {
	onDesk(t, func(b *bench) {
		var made atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, first, err := b.desk.CreateAPIClient(ctx, b.admin, NewAPIClient{
					Name: "Importer", Role: operator.RoleIntegrator, SecretHash: fmt.Append(nil, i), Key: "1",
				})
				if err != nil {
					b.Error(err)
				}
				if first {
					made.Add(1)
				}
			})
		}
		all.Wait()
		equal(b, "made", made.Load(), 1)
		equal(b, "clients", must(b.client().APIClient.Query().Count(ctx)), 1)
	})
}

func TestAPIClientsAreSeenByAdministratorsAndThemselves(t *testing.T) {
	onDesk(t, func(b *bench) {
		one, other := b.machine("One", schema.Scopes...), b.machine("Other", schema.Scopes...)
		boss := b.person("boss", operator.RoleSupervisor)
		for v, want := range map[*Viewer][2]bool{&one: {true, false}, &other: {false, true}, &b.admin: {true, true}, &boss: {}, {}: {}} {
			got := [2]bool{b.sees(*v, one.GlobalID()), b.sees(*v, other.GlobalID())}
			equal(b, fmt.Sprint(v.Role(), " sees"), got, want)
		}
		page := must(b.desk.APIClients(ctx, paging.Args{First: pointer(1)}))
		equal(b, "the first", page.Nodes[0].Name, "One")
		page = must(b.desk.APIClients(ctx, paging.Args{After: &page.Cursors[0]}))
		equal(b, "the rest", page.Nodes[0].Name, "Other")
		equal(b, "creator", *page.Nodes[0].CreatedBy, b.admin.id())
	})
}

func TestAnAPIClientIsChangedOnlyAsItCanBe(t *testing.T) {
	onDesk(t, func(b *bench) {
		client, bot := b.newClient("Importer", operator.RoleIntegrator), b.newClient("Bot", operator.RoleBot)
		id, old := client.GlobalID(), int64(0)
		for name, step := range map[string]struct {
			change APIClientChange
			code   fault.Code
			word   string
		}{
			"none":              {APIClientChange{ID: globalid.Of("apiclient", uuid.New())}, fault.NotFound, ""},
			"a queue":           {APIClientChange{ID: globalid.Of("queue", id.UUID)}, fault.NotFound, ""},
			"another version":   {APIClientChange{ID: id, ExpectedVersion: &old}, fault.Conflict, "version is 1"},
			"no name":           {APIClientChange{ID: id, Name: pointer(" ")}, fault.Invalid, "name"},
			"another's name":    {APIClientChange{ID: id, Name: pointer("Bot")}, fault.NameTaken, bot.GlobalID().String()},
			"an unknown scope":  {APIClientChange{ID: id, Scopes: []string{"x"}}, fault.Invalid, "scopes"},
			"a bot with scopes": {APIClientChange{ID: bot.GlobalID(), Scopes: schema.Scopes}, fault.Invalid, "scopes"},
		} {
			_, err := b.desk.UpdateAPIClient(ctx, audit.Actor{}, step.change)
			if b.refused(err, step.code, step.word); b.Failed() {
				b.Fatal(name)
			}
		}
		equal(b, "version", must(b.client().APIClient.Query().Where(apiclient.ID(client.ID)).Only(ctx)).Version, 1)
		changed := must(b.desk.UpdateAPIClient(ctx, audit.Actor{}, APIClientChange{ID: id, Name: pointer(" Exporter "), ExpectedVersion: &client.Version}))
		equal(b, "name", changed.Name, "Exporter")
		equal(b, "scopes stay", len(changed.Scopes), 0)
		equal(b, "version", changed.Version, 2)
		equal(b, "secret", string(must(b.desk.RotateAPIClientSecret(ctx, audit.Actor{}, id, []byte("new"), &changed.Version)).SecretHash), "new")
	})
}
