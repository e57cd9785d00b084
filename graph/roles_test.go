package graph_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"parley/ent/operator"
	"parley/server/app/apptest"
)

// A letter is a role; "-" is nobody. Small letters are of API clients: an
// integrator without scopes, one that reads, one that writes, and a bot.
var letters = map[byte]operator.Role{
	'A': operator.RoleAdmin, 'S': operator.RoleSupervisor, 'O': operator.RoleOperator, 'I': operator.RoleIntegrator, 'B': operator.RoleBot, '-': "",
	'i': operator.RoleIntegrator, 'r': operator.RoleIntegrator, 'w': operator.RoleIntegrator, 'b': operator.RoleBot,
}

// scopes are those of the API clients.
var scopes = map[byte][]string{'i': {}, 'r': {"chats:read"}, 'w': {"chats:write"}, 'b': {}}

const (
	signedIn = "ASOIBirwb"
	everyone = "ASOIBirwb-"
	people   = "ASO"    // who takes chats
	writes   = "ASOw"   // who says something in chats
	settles  = "AIirw"  // who sets things up
	reads    = "ASIirw" // who reads settings
	machines = "irwb"   // who signs in by client credentials
	admits   = "A"      // who gives access
)

// access is section 9 of the product's description for every root field: who may
// ask, and an operation that asks without doing anything. A new field needs a
// line here.
var access = map[string]struct{ who, operation string }{
	"Query.viewer":        {signedIn, `{ viewer { role permissions operator { id } } }`},
	"Query.node":          {signedIn, `{ node(id: "$id") { id } }`},
	"Query.nodes":         {signedIn, `{ nodes(ids: ["$id"]) { id } }`},
	"Query.chats":         {signedIn, `{ chats { nodes { id } } }`},
	"Query.contacts":      {signedIn, `{ contacts { nodes { id } } }`},
	"Query.channels":      {signedIn, `{ channels { nodes { id } } }`},
	"Query.queues":        {signedIn, `{ queues { nodes { id } } }`},
	"Query.apiClients":    {admits, `{ apiClients { nodes { id } } }`},
	"Query.operators":     {signedIn, `{ operators { nodes { id } } }`},
	"Query.eventCursor":   {signedIn, `{ eventCursor }`},
	"Query.events":        {signedIn, `{ events { cursor } }`},
	"Query.webhookEvents": {settles, `{ webhookEvents { nodes { id } } }`},

	"Query.channelSetup":            {reads, `{ channelSetup(provider: FACEBOOK_MESSENGER) { ready } }`},
	"Mutation.testIdentityServer":   {settles, `mutation { testIdentityServer { passed userErrors { code } } }`},
	"Query.facebookLogin":           {settles, `{ facebookLogin(id: "$id") { id } }`},
	"Mutation.startFacebookLogin":   {settles, `mutation { startFacebookLogin(input: {returnTo: "https://nowhere.test"}) { userErrors { code } } }`},
	"Mutation.connectFacebookPages": {settles, `mutation { connectFacebookPages(input: {loginId: "$id", pageIds: []}) { userErrors { code } } }`},
	"Query.systemSettings":          {reads, `{ systemSettings { version } }`},
	"Query.auditEntries":            {"AS", `{ auditEntries { nodes { id } } }`},
	"Mutation.updateSystemSettings": {settles, `mutation { updateSystemSettings(input: {settings: []}) { userErrors { code } } }`},
	"Mutation.disconnectChannel":    {settles, `mutation { disconnectChannel(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.archiveChannel":       {settles, `mutation { archiveChannel(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.unarchiveChannel":     {settles, `mutation { unarchiveChannel(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.checkChannel":         {settles, `mutation { checkChannel(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.deleteChannel":        {settles, `mutation { deleteChannel(input: {id: "$id"}) { userErrors { code } } }`},

	"Query.quickReplies":          {reads, `{ quickReplies { nodes { id } } }`},
	"Query.quickReplyReport":      {reads, `{ quickReplyReport { languages } }`},
	"Query.suggestedQuickReplies": {"ASOIirw", `{ suggestedQuickReplies(chatId: "$id") { text } }`},
	"Mutation.createQuickReply":   {settles, `mutation { createQuickReply(input: {name: "", texts: []}) { userErrors { code } } }`},
	"Mutation.updateQuickReply":   {settles, `mutation { updateQuickReply(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.deleteQuickReply":   {settles, `mutation { deleteQuickReply(input: {id: "$id"}) { userErrors { code } } }`},

	"Mutation.signIn":                {everyone, `mutation { signIn(input: {email: "nobody", password: ""}) { userErrors { code } } }`},
	"Mutation.refreshSession":        {everyone, `mutation { refreshSession(input: {refreshToken: ""}) { userErrors { code } } }`},
	"Mutation.signOut":               {signedIn, `mutation { signOut { userErrors { code } } }`},
	"Mutation.acceptChat":            {people, `mutation { acceptChat(input: {chatId: "$id"}) { userErrors { code } } }`},
	"Mutation.completeChat":          {writes, `mutation { completeChat(input: {chatId: "$id"}) { userErrors { code } } }`},
	"Mutation.markChatRead":          {people, `mutation { markChatRead(input: {chatId: "$id"}) { userErrors { code } } }`},
	"Mutation.sendMessage":           {writes, `mutation { sendMessage(input: {chatId: "$id", text: "?"}) { userErrors { code } } }`},
	"Mutation.setOperatorState":      {people, `mutation { setOperatorState(input: {state: OFFLINE}) { userErrors { code } } }`},
	"Mutation.connectFacebookPage":   {settles, `mutation { connectFacebookPage(input: {pageAccessToken: ""}) { userErrors { code } } }`},
	"Mutation.updateChannel":         {settles, `mutation { updateChannel(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.createQueue":           {settles, `mutation { createQueue(input: {name: ""}) { userErrors { code } } }`},
	"Mutation.updateQueue":           {settles, `mutation { updateQueue(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.createOperator":        {settles, `mutation { createOperator(input: {email: "", name: "", password: "", role: ADMIN}) { userErrors { code } } }`},
	"Mutation.createApiClient":       {admits, `mutation { createApiClient(input: {name: "", role: ADMIN}) { clientSecret userErrors { code } } }`},
	"Mutation.updateApiClient":       {admits, `mutation { updateApiClient(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.rotateApiClientSecret": {admits, `mutation { rotateApiClientSecret(input: {id: "$id"}) { clientSecret userErrors { code } } }`},
	"Mutation.revokeApiClient":       {admits, `mutation { revokeApiClient(input: {id: "$id"}) { userErrors { code } } }`},
	"Mutation.replayWebhookEvent":    {settles, `mutation { replayWebhookEvent(input: {id: "$id"}) { userErrors { code } } }`},

	"Subscription.chatEvents":   {signedIn, `subscription { chatEvents { __typename } }`},
	"Subscription.messageAdded": {signedIn, `subscription { messageAdded(after: "bm9uc2Vuc2U") { cursor } }`}, // which ends at once
}

// shown is the same for the fields that not everybody gets a value of.
var shown = map[string]string{
	"Channel.externalId": reads, "Channel.state": reads, "Channel.stateReason": reads, "Channel.active": reads,
	"Channel.queue": reads, "Channel.language": reads, "Channel.archivedAt": reads, "Channel.greeting": reads,
	"Channel.checks": reads, "Channel.lastInboundAt": reads,
	"Queue.rule": reads, "Queue.members": reads, "QuickReply.queues": reads,
	"Operator.email": reads, "Operator.role": reads, "Operator.state": reads,
	"ApiClient.createdBy": settles,
}

// listed is how many of each kind a role sees, of one chat in the queue of an
// operator and two queues.
var listed = map[string]map[byte]int{
	"chats":     {'A': 1, 'S': 1, 'O': 1, 'I': 0, 'B': 0, 'i': 0, 'r': 1, 'w': 1, 'b': 0},
	"contacts":  {'A': 1, 'S': 1, 'O': 1, 'I': 0, 'B': 0, 'i': 0, 'r': 1, 'w': 1, 'b': 0},
	"channels":  {'A': 1, 'S': 1, 'O': 1, 'I': 1, 'B': 0, 'i': 1, 'r': 1, 'w': 1, 'b': 0},
	"queues":    {'A': 2, 'S': 2, 'O': 1, 'I': 2, 'B': 0, 'i': 2, 'r': 2, 'w': 2, 'b': 0},
	"operators": {'A': 5, 'S': 5, 'O': 1, 'I': 5, 'B': 1, 'i': 5, 'r': 5, 'w': 5, 'b': 0},
}

// permissions are what a viewer is told.
var permissions = map[byte]string{
	'A': "[READ_ALL_CHATS HANDLE_CHATS READ_SETTINGS CHANGE_SETTINGS]", 'S': "[READ_ALL_CHATS HANDLE_CHATS READ_SETTINGS]",
	'O': "[HANDLE_CHATS]", 'I': "[READ_SETTINGS CHANGE_SETTINGS]", 'B': "[]",
	'i': "[READ_SETTINGS CHANGE_SETTINGS]", 'r': "[READ_SETTINGS CHANGE_SETTINGS READ_ALL_CHATS]",
	'w': "[READ_SETTINGS CHANGE_SETTINGS READ_ALL_CHATS WRITE_CHATS]", 'b': "[]",
}

// cast is one client for each role.
func cast(w *world) map[byte]*client {
	all := map[byte]*client{'-': w.Anonymous()}
	for letter, role := range letters {
		switch {
		case scopes[letter] != nil:
			all[letter] = w.AddMachine("Role "+string(letter), role, scopes[letter]...)
		case role != "" && letter != 'A':
			all[letter] = w.Add("Role "+string(letter), role)
		}
	}
	all['A'] = w.Admin
	return all
}

func TestEveryRoleMayAskForWhatTheTableOfRolesSays(t *testing.T) {
	schema, _ := sdl(t)
	var fields []string
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		for _, f := range root.Fields {
			if !strings.HasPrefix(f.Name, "__") {
				fields = append(fields, root.Name+"."+f.Name)
			}
		}
	}
	slices.Sort(fields)
	if lines := slices.Sorted(maps.Keys(access)); !slices.Equal(fields, lines) {
		t.Fatalf("say who may ask for what: the schema has %v, the table %v", fields, lines)
	}
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		for letter, as := range cast(w) {
			for _, field := range fields {
				line := access[field]
				if field == "Mutation.signOut" && letter != '-' && !isMachine(letter) {
					as = w.SignIn(emailOf(w, as)) // the others' sessions go on
				}
				code := ask(t, w, as, strings.ReplaceAll(line.operation, "$id", w.Queue))
				may := strings.IndexByte(line.who, letter) >= 0
				public := strings.Contains(line.who, "-")
				switch {
				case may && (code == "FORBIDDEN" || code == "INTERNAL" || code == "UNAUTHENTICATED" && !public):
					t.Errorf("%c may ask for %s, and gets %s", letter, field, code)
				case !may && letter == '-' && code != "UNAUTHENTICATED":
					t.Errorf("nobody in particular asks for %s, and gets %q", field, code)
				case !may && letter != '-' && code != "FORBIDDEN":
					t.Errorf("%c must not ask for %s, and gets %q", letter, field, code)
				}
			}
		}
	})
}

func isMachine(letter byte) bool { return strings.IndexByte(machines, letter) >= 0 }

func emailOf(w *world, c *client) string {
	return w.Admin.Must(`query($id: ID!) { node(id: $id) { ... on Operator { email } } }`, vars{"id": c.ID}).String("node.email")
}

// ask runs an operation, over a socket if it is a subscription, and gives the
// code that it failed with.
func ask(t *testing.T, w *world, as *client, operation string) string {
	t.Helper()
	if !strings.HasPrefix(operation, "subscription") || as.Token == "" {
		a := as.Do(operation, nil)
		if len(a.Errors) > 0 && a.Errors[0].Extensions["requestId"] == nil && a.Status == 200 {
			t.Errorf("%s: an error without a request id: %s", operation, a.Body)
		}
		if a.Code() == "BAD_REQUEST" { // a subscription in a plain request: what counts is that it was refused
			return "UNAUTHENTICATED"
		}
		return a.Code()
	}
	s := w.Connect(as)
	defer s.Close()
	s.Subscribe("1", operation, nil)
	f := s.Read()
	code, _ := apptest.Get(f.Payload, "0.extensions.code").(string)
	return code
}

func TestEveryRoleSeesOfEachKindWhatTheTableOfRolesSays(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		all := cast(w)
		w.Members(w.Queue, all['O'])
		w.AddQueue("Sales")
		w.Hears(w.Customer("Ada"), "hello")
		for letter, as := range all {
			if letter == '-' {
				continue
			}
			for kind, counts := range listed {
				if n := len(as.Must(`{ `+kind+` { nodes { id } } }`, nil).List(kind + ".nodes")); n != counts[letter] {
					t.Errorf("%c sees %d %s, not %d", letter, n, kind, counts[letter])
				}
			}
			viewer := as.Must(`{ viewer { role permissions operator { id } apiClient { id scopes } } }`, nil)
			self, other := "viewer.operator", "viewer.apiClient"
			if isMachine(letter) {
				self, other = other, self
			}
			if got := fmt.Sprint(viewer.Get("viewer.permissions")); got != permissions[letter] || viewer.Get("viewer.role") != string(letters[letter]) ||
				viewer.Get(self+".id") != as.ID || viewer.Get(other) != nil {
				t.Errorf("%c is told %s", letter, viewer.Body)
			}
		}
	})
}

func TestEveryRoleGetsAValueOfTheFieldsThatTheTableOfRolesSays(t *testing.T) {
	schema, _ := sdl(t)
	restricted := map[string]bool{}
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			if f.Directives.ForName("readable") != nil {
				restricted[d.Name+"."+f.Name] = true
			}
		}
	}
	if fields, lines := slices.Sorted(maps.Keys(restricted)), slices.Sorted(maps.Keys(shown)); !slices.Equal(fields, lines) {
		t.Fatalf("say who gets a value of what: the schema has %v, the table %v", fields, lines)
	}
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		all := cast(w)
		w.Members(w.Queue, all['O'], all['B'])
		w.Hears(w.Customer("Ann"), "Hello")
		if err := w.App.Desk.KeepHeard(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Admin.Must(`mutation($id: ID!) { checkChannel(input: {id: $id}) { userErrors { code } } }`, vars{"id": w.Channel})
		w.Admin.Must(`mutation($id: ID!) { updateChannel(input: {id: $id, language: "de", greeting: "Hello!"}) { userErrors { code } } archiveChannel(input: {id: $id}) { userErrors { code } } }`, vars{"id": w.Channel})
		things := map[string]string{"Channel": w.Channel, "Queue": w.Queue, "QuickReply": addQuickReply(w, "Hello", nil, "en", "Hello"), "Operator": all['O'].ID, "ApiClient": all['i'].ID}
		for letter, as := range all {
			if letter == '-' {
				continue
			}
			for field, who := range shown {
				kind, name, _ := strings.Cut(field, ".")
				selection := name
				if f := schema.Types[kind].Fields.ForName(name); schema.Types[f.Type.Name()].Kind == ast.Object {
					selection += " { __typename }"
				}
				id := things[kind]
				if kind == "ApiClient" && isMachine(letter) {
					id = as.ID
				}
				a := as.Must(`query($id: ID!) { node(id: $id) { id ... on `+kind+` { version `+selection+` } } }`, vars{"id": id})
				if a.Get("node.id") == nil {
					if !hidden(kind, letter) {
						t.Errorf("%c does not see the %s at all", letter, kind)
					}
					continue
				}
				if hidden(kind, letter) {
					t.Errorf("%c sees the %s", letter, kind)
				}
				may := strings.IndexByte(who, letter) >= 0 || kind == "Operator" && letter == 'O' // themselves
				if got := a.Get("node." + name); (got != nil) != may {
					t.Errorf("%c gets %v for %s", letter, got, field)
				}
			}
		}
	})
}

// hidden says what a role does not see at all: a bot that is an API client has no
// chat, and so no channel, queue or colleague; API clients are administrators'
// and their own; quick replies are not for bots.
func hidden(kind string, letter byte) bool {
	switch kind {
	case "ApiClient":
		return letter != 'A' && !isMachine(letter)
	case "QuickReply":
		return letters[letter] == operator.RoleBot
	}
	return letter == 'b'
}

func TestAnEmptyQueueHasAnEmptyListOfMembersForThoseWhoMayKnow(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	if a := w.Admin.Must(`query($id: ID!) { node(id: $id) { ... on Queue { members { id } } } }`, vars{"id": w.Queue}); a.Get("node.members") == nil {
		t.Error(a.Body)
	}
}
