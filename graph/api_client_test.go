package graph_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/ent/operator"
	"parley/server/app/apptest"
)

const (
	createClient = `mutation($i: CreateApiClientInput!) { createApiClient(input: $i) { clientSecret apiClient {
		id clientId name role scopes createdAt createdBy { id } lastUsedAt revokedAt version } userErrors { code field message } } }`
	updateClient = `mutation($i: UpdateApiClientInput!) { updateApiClient(input: $i) { apiClient { name scopes version } userErrors { code field message } } }`
	rotateSecret = `mutation($i: RotateApiClientSecretInput!) { rotateApiClientSecret(input: $i) { clientSecret apiClient { version } userErrors { code field message } } }`
	revokeClient = `mutation($i: RevokeApiClientInput!) { revokeApiClient(input: $i) { apiClient { revokedAt version } userErrors { code message } } }`
	saySomething = `mutation($id: ID!) { sendMessage(input: {chatId: $id, text: "from a machine", idempotencyKey: "1"}) {
		message { id text author { kind name operator { id } } } userErrors { code message } } }`
	allChats = `{ viewer { role apiClient { id } } chats { nodes { id unreadCount } } }`
)

func input(fields vars) vars { return vars{"i": fields} }

func TestAnAPIClientIsMadeAndItsSecretShownOnce(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		in := input(vars{"name": " Importer ", "role": "INTEGRATOR", "scopes": []string{"chats:write", "chats:read", "chats:read"}, "idempotencyKey": "1"})
		a := w.Admin.Must(createClient, in)
		made := func(field string) string { return fmt.Sprint(a.Get("createApiClient.apiClient." + field)) }
		id, secret := made("id"), a.String("createApiClient.clientSecret")
		if made("name") != "Importer" || made("role") != "INTEGRATOR" || made("scopes") != "[chats:read chats:write]" || made("clientId") != id ||
			made("createdBy.id") != w.Admin.ID || made("lastUsedAt") != "<nil>" || made("revokedAt") != "<nil>" || made("version") != "1" || len(secret) != 43 {
			t.Error(a.Body)
		}
		again := w.Admin.Must(createClient, in)
		if again.Get("createApiClient.apiClient.id") != id || again.Get("createApiClient.clientSecret") != nil {
			t.Errorf("made again: %s", again.Body)
		}
		for name, c := range map[string]struct {
			in   vars
			want string
		}{
			"another input":     {vars{"name": "Other", "role": "INTEGRATOR", "idempotencyKey": "1"}, "KEY_REUSED idempotencyKey"},
			"the name again":    {vars{"name": "Importer", "role": "BOT"}, "NAME_TAKEN name"},
			"no name":           {vars{"name": " ", "role": "BOT"}, "INVALID name"},
			"a person's role":   {vars{"name": "Other", "role": "ADMIN"}, "INVALID role"},
			"an unknown scope":  {vars{"name": "Other", "role": "INTEGRATOR", "scopes": []string{"everything"}}, "INVALID scopes"},
			"a bot with scopes": {vars{"name": "Other", "role": "BOT", "scopes": []string{"chats:read"}}, "INVALID scopes"},
		} {
			a := w.Admin.Do(createClient, input(c.in))
			got := fmt.Sprint(a.Get("createApiClient.userErrors.0.code"), " ", a.Get("createApiClient.userErrors.0.field"))
			if got != c.want || a.Get("createApiClient.clientSecret") != nil || a.Get("createApiClient.apiClient") != nil {
				t.Errorf("%s: %s", name, a.Body)
			}
			if name == "the name again" && !anywhere(a, id) {
				t.Errorf("it does not say which client has the name: %s", a.Body)
			}
		}
		// Beside the one that the installation made for itself.
		list := w.Admin.Must(`{ apiClients { nodes { name createdBy { name } } edges { cursor } pageInfo { hasNextPage } } }`, nil)
		if len(list.List("apiClients.nodes")) != 2 || list.Get("apiClients.nodes.0.createdBy.name") != "Administrator" || anywhere(list, secret) {
			t.Error(list.Body)
		}
	})
}

// A narrower token is asked for by a client that has more.
func TestAnAPIClientMayDoWhatItsTokenIsFor(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		chat := w.Hears(w.Customer("Ada"), "hello")
		both := w.AddMachine("Both", operator.RoleIntegrator, "chats:read", "chats:write")
		if a := both.Must(allChats, nil); a.Get("chats.nodes.0.id") != chat || a.Get("chats.nodes.0.unreadCount") != 1.0 || a.Get("viewer.apiClient.id") != both.ID {
			t.Error(a.Body)
		}
		reads := *both
		reads.Token, _ = both.AskToken("chats:read")
		if a := reads.Do(saySomething, vars{"id": chat}); a.Code() != "FORBIDDEN" {
			t.Errorf("a token to read with writes: %s", a.Body)
		}
		if a := reads.Must(allChats, nil); a.Get("chats.nodes.0.id") != chat {
			t.Error(a.Body)
		}
		if a := reads.Must(`{ viewer { permissions } }`, nil); anywhere(a, "WRITE_CHATS") {
			t.Error(a.Body)
		}
		if _, refused := both.AskToken("chats:read", "everything"); refused != "invalid_scope" {
			t.Error(refused)
		}
	})
}

func TestAnAPIClientWritesOnlyWhereNobodyElseDoes(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		ann := w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		machine := w.AddMachine("Order desk", operator.RoleIntegrator, "chats:write")
		ada := w.Customer("Ada")
		chat := w.Hears(ada, "where is my order?")
		a := machine.Must(saySomething, vars{"id": chat})
		if a.Get("sendMessage.message.author.kind") != "SYSTEM" || a.Get("sendMessage.message.author.name") != "Order desk" || a.Get("sendMessage.message.author.operator") != nil {
			t.Error(a.Body)
		}
		if again := machine.Must(saySomething, vars{"id": chat}); again.Get("sendMessage.message.id") != a.Get("sendMessage.message.id") {
			t.Errorf("sent twice: %s", again.Body)
		}
		w.Until("the customer has it", func() bool { return ada.Received() == 1 })
		if seen := ann.Must(`query($id: ID!) { node(id: $id) { ... on Chat { unreadCount lastMessage { author { name } } } } }`, vars{"id": chat}); seen.Get("node.lastMessage.author.name") != "Order desk" || seen.Get("node.unreadCount") != 1.0 {
			t.Errorf("Ann sees %s", seen.Body)
		}
		for _, mutation := range []string{"acceptChat", "markChatRead"} {
			if a := machine.Do(`mutation($id: ID!) { `+mutation+`(input: {chatId: $id}) { userErrors { code } } }`, vars{"id": chat}); a.Code() != "FORBIDDEN" {
				t.Errorf("%s: %s", mutation, a.Body)
			}
		}
		ann.Must(`mutation($id: ID!) { acceptChat(input: {chatId: $id}) { userErrors { code message } } }`, vars{"id": chat})
		other := `mutation($id: ID!) { sendMessage(input: {chatId: $id, text: "again"}) { userErrors { code message } } }`
		if a := machine.Do(other, vars{"id": chat}); a.Code() != "REFUSED" || !anywhere(a, "IN_PROGRESS") {
			t.Errorf("two voices: %s", a.Body)
		}
		machine.Must(`mutation($id: ID!) { completeChat(input: {chatId: $id}) { chat { status } userErrors { code message } } }`, vars{"id": chat})
		if a := machine.Do(other, vars{"id": chat}); a.Code() != "REFUSED" {
			t.Errorf("in a completed chat: %s", a.Body)
		}
	})
}

func TestAScopeThatIsTakenAwayIsGoneFromTokensAtOnce(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		w.Hears(w.Customer("Ada"), "hello")
		machine := w.AddMachine("Reader", operator.RoleIntegrator, "chats:read")
		change := func(fields vars) apptest.Answer {
			fields["id"] = machine.ID
			return w.Admin.Do(updateClient, input(fields))
		}
		chats := func() int { return len(machine.Must(allChats, nil).List("chats.nodes")) }
		socket := w.Connect(machine)
		socket.Watch("1", feed)
		if a := change(vars{"scopes": []string{}, "expectedVersion": 1, "name": "No reader"}); fmt.Sprint(a.Get("updateApiClient.apiClient")) != "map[name:No reader scopes:[] version:2]" {
			t.Fatal(a.Body)
		}
		if n := chats(); n != 0 {
			t.Errorf("it sees %d chats", n)
		}
		for f := socket.Read(); f.Get("chatEvents.reason") != "RIGHTS_CHANGED"; f = socket.Read() {
		}
		w.Hears(w.Customer("Ben"), "for those who may read")
		if a := change(vars{"scopes": []string{"chats:read", "chats:write"}, "expectedVersion": 1}); a.Code() != "CONFLICT" {
			t.Error(a.Body)
		}
		if n := chats(); n != 0 {
			t.Errorf("it sees %d chats", n)
		}
		if a := change(vars{"scopes": []string{"chats:read", "chats:write"}}); a.Code() != "" {
			t.Error(a.Body)
		}
		// Meanwhile nothing came but the changes of its rights.
		for f := socket.Read(); f.Get("chatEvents.reason") != "RIGHTS_CHANGED"; f = socket.Read() {
			if f.Get("chatEvents.__typename") != "StreamCaughtUp" {
				t.Errorf("the stream shows %+v", f)
			}
		}
		if n := chats(); n != 2 {
			t.Errorf("it sees %d chats", n)
		}
		if a := machine.Must(`{ viewer { permissions } }`, nil); anywhere(a, "WRITE_CHATS") {
			t.Errorf("its token grew: %s", a.Body)
		}
		w.AddMachine("Other", operator.RoleIntegrator)
		if a := change(vars{"name": "Other"}); a.Code() != "NAME_TAKEN" {
			t.Error(a.Body)
		}
	})
}

func TestARotatedSecretIsWorthNothingAndItsTokensGoOn(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		machine := w.AddMachine("Importer", operator.RoleIntegrator)
		a := w.Admin.Must(rotateSecret, input(vars{"id": machine.ID, "expectedVersion": 1}))
		secret := a.String("rotateApiClientSecret.clientSecret")
		if a := w.Admin.Do(rotateSecret, input(vars{"id": machine.ID, "expectedVersion": 1})); a.Code() != "CONFLICT" || a.Get("rotateApiClientSecret.clientSecret") != nil {
			t.Error(a.Body)
		}
		if _, refused := machine.AskToken(); refused != "invalid_client" {
			t.Errorf("the secret before: %q", refused)
		}
		machine.Must(allChats, nil)
		machine.Secret = secret
		if _, refused := machine.AskToken(); refused != "" {
			t.Errorf("the new secret: %q", refused)
		}
		if a := w.Admin.Do(rotateSecret, input(vars{"id": w.Queue})); a.Code() != "NOT_FOUND" {
			t.Error(a.Body)
		}
	})
}

func TestARevokedClientIsNobodyAtOnceOnEveryReplica(t *testing.T) {
	w := apptest.Start(t, apptest.Options{Postgres: true})
	other := apptest.Start(t, apptest.Options{Database: w.Options.Database, SecretKey: w.Options.SecretKey, Bare: true})
	machine := w.AddMachine("Importer", operator.RoleIntegrator, "chats:read")
	elsewhere := *machine
	elsewhere.URL = other.URL
	elsewhere.Must(allChats, nil)
	socket, idle := other.Connect(machine), other.Connect(machine)
	socket.Watch("1", feed)
	revoked := w.Admin.Must(revokeClient, input(vars{"id": machine.ID}))
	for name, a := range map[string]apptest.Answer{"here": machine.Do(allChats, nil), "elsewhere": elsewhere.Do(allChats, nil)} {
		if a.Code() != "UNAUTHENTICATED" || a.Data != nil {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	if f := socket.Read(); f.ID != "1" || f.Type != "error" || apptest.Get(f.Payload, "0.extensions.code") != "UNAUTHENTICATED" {
		t.Errorf("its stream goes on with %+v", f)
	}
	idle.Subscribe("1", `{ viewer { role } }`, nil)
	if f := idle.Read(); f.Type != "error" || apptest.Get(f.Payload, "0.extensions.code") != "UNAUTHENTICATED" {
		t.Errorf("its socket goes on with %+v", f)
	}
	for _, c := range []*client{machine, &elsewhere} {
		if _, refused := c.AskToken(); refused != "invalid_client" {
			t.Errorf("it gets a token: %q", refused)
		}
	}
	if again := w.Admin.Must(revokeClient, input(vars{"id": machine.ID})); again.Body != revoked.Body {
		t.Errorf("revoked again: %s, then %s", revoked.Body, again.Body)
	}
	if a := w.Admin.Do(rotateSecret, input(vars{"id": machine.ID})); a.Code() != "REFUSED" {
		t.Error(a.Body)
	}
}

// Streams of one role share what they show. Clients of it with other scopes do
// not see the same.
func TestAPIClientsWithOtherScopesDoNotShareAStream(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		blind, reader := w.Connect(w.AddMachine("Blind", operator.RoleIntegrator)), w.Connect(w.AddMachine("Reader", operator.RoleIntegrator, "chats:read"))
		for _, s := range []*apptest.Socket{blind, reader} {
			s.Watch("1", feed+` ... on OperatorUpdated { operator { name } } ... on ChatOpened { chat { unreadCount } }`)
		}
		w.Hears(w.Customer("Ada"), "secret of Ada")
		w.Admin.Must(`mutation { setOperatorState(input: {state: ONLINE}) { userErrors { code message } } }`, nil)
		until := func(s *apptest.Socket) (seen string) {
			for !strings.Contains(seen, "Administrator") {
				seen += fmt.Sprint(s.Read().Payload)
			}
			return seen
		}
		if seen := until(blind); strings.Contains(seen, "Ada") || strings.Contains(seen, "Chat") && strings.Contains(seen, "ChatOpened") {
			t.Errorf("without a scope it sees %s", seen)
		}
		if seen := until(reader); !strings.Contains(seen, "secret of Ada") || !strings.Contains(seen, "unreadCount:1") {
			t.Errorf("with the scope it sees %s", seen)
		}
	})
}

func TestWhoAMachineIsTakesOneStatement(t *testing.T) {
	seen := &statements{}
	apptest.Each(t, apptest.Options{Store: seen.watch}, func(t *testing.T, w *world) {
		machine := w.AddMachine("Importer", operator.RoleIntegrator, "chats:read")
		if list := seen.of(func() { machine.Must(`{ viewer { role permissions apiClient { id scopes } } }`, nil) }); len(list) != 1 {
			t.Errorf("it takes %d:\n%s", len(list), strings.Join(list, "\n"))
		}
	})
}

func TestNoSecretOfAnAPIClientIsStoredOrLogged(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	machine := w.AddMachine("Importer", operator.RoleIntegrator, "chats:read")
	rotated := w.Admin.Must(rotateSecret, input(vars{"id": machine.ID})).String("rotateApiClientSecret.clientSecret")
	w.Admin.Must(createClient, input(vars{"name": "Other", "role": "BOT", "idempotencyKey": "1"}))
	w.Admin.Must(createClient, input(vars{"name": "Other", "role": "BOT", "idempotencyKey": "1"}))
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.Stop())
	files, err := filepath.Glob(w.Store.URL + "*")
	must(err)
	stored := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(err)
		stored = stored || bytes.Contains(content, []byte("Importer"))
		for _, secret := range []string{machine.Secret, rotated, machine.Token} {
			if bytes.Contains(content, []byte(secret)) || strings.Contains(w.Log.String(), secret) {
				t.Errorf("a secret is in %s, or in the log", file)
			}
		}
	}
	if !stored {
		t.Errorf("these are not the database's files: %v", files)
	}
}
