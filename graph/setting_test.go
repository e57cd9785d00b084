package graph_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"parley/ent/operator"
	"parley/server/app/apptest"
	"parley/server/messenger"
	"parley/server/settings"
)

const setSettings = `mutation($s: [SystemSettingInput!]!, $dry: Boolean! = false, $v: Int) {
	updateSystemSettings(input: {settings: $s, dryRun: $dry, expectedVersion: $v}) {
		systemSettings { version settings { code kind value default isSet updatedAt } } userErrors { code field message }
	}
}`

func setting(code settings.Code, value any) map[string]any {
	return map[string]any{"code": string(code), "value": value}
}

func TestTheSchemaNamesAndDescribesEverySetting(t *testing.T) {
	schema, _ := sdl(t)
	values := schema.Types["SystemSettingCode"].EnumValues
	if len(values) != len(settings.All) {
		t.Fatalf("the schema has %d, there are %d", len(values), len(settings.All))
	}
	for i, d := range settings.All {
		if v := values[i]; v.Name != string(d.Code) || strings.ReplaceAll(v.Description, "`", "") != d.Description {
			t.Errorf("%s %q, in the schema %s %q", d.Code, d.Description, v.Name, v.Description)
		}
		if schema.Types["SystemSettingKind"].EnumValues.ForName(string(d.Kind)) == nil {
			t.Errorf("%s is a %s", d.Code, d.Kind)
		}
	}
}

func TestWhoReadsSettingsHearsOfAChangeAndNobodyElse(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		integrator, ann := w.Add("Ivy", operator.RoleIntegrator), w.Add("Ann", operator.RoleOperator)
		w.Members(w.Queue, ann)
		const selection = `... on SystemSettingsUpdated { codes } ... on MessageAdded { message { text } }`
		sockets := map[string]*apptest.Socket{}
		for name, as := range map[string]*client{"admin": w.Admin, "integrator": integrator, "operator": ann} {
			sockets[name] = w.Connect(as)
			sockets[name].Watch("1", selection)
		}
		changed := integrator.Must(setSettings, map[string]any{"s": []any{
			setting(settings.SupportContact, "Ada"), setting(settings.FacebookWebhookVerifyToken, "hush"),
		}})
		for _, of := range changed.List("updateSystemSettings.systemSettings.settings") {
			if s := of.(map[string]any); s["kind"] == "SECRET" && s["value"] != nil {
				t.Errorf("a secret is shown: %v", s)
			}
		}
		w.Customer("Bob").Writes("after it")
		for name, s := range sockets {
			var first any
			for first == nil {
				for _, e := range s.Read().Get("chatEvents.events").([]any) {
					if first == nil && (apptest.Get(e, "codes") != nil || apptest.Get(e, "message") != nil) {
						first = e
					}
				}
			}
			if isMessage := apptest.Get(first, "message.text") == "after it"; isMessage != (name == "operator") {
				t.Errorf("the %s heard first %v", name, first)
			}
		}
		if entry := w.Admin.Must(`{ auditEntries(first: 2) { nodes { operator { name } action subject before after } } }`, nil); !slices.ContainsFunc(
			entry.List("auditEntries.nodes"), func(e any) bool {
				return apptest.Get(e, "subject") == "SupportContact" && apptest.Get(e, "after") == "Ada" && apptest.Get(e, "operator.name") == "Ivy"
			}) {
			t.Errorf("the audit log: %v", entry)
		}
	})
}

func TestAWrongSettingIsNamedAndNothingChanges(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	before := w.Admin.Must(`{ systemSettings { version } }`, nil).Get("systemSettings.version")
	for _, c := range []struct {
		variables   map[string]any
		code, field string
	}{
		{map[string]any{"s": []any{setting(settings.SupportContact, "Ada"), setting(settings.SimultaneousChats, "0")}}, "INVALID", "settings.1.value"},
		{map[string]any{"s": []any{setting(settings.SupportContact, "Ada"), setting(settings.SupportContact, nil)}}, "INVALID", "settings.1.code"},
		{map[string]any{"s": []any{setting(settings.SupportContact, "Ada")}, "v": 0}, "CONFLICT", "expectedVersion"},
		{map[string]any{"s": []any{setting(settings.SupportContact, "Ada")}, "dry": true}, "", ""},
	} {
		got := w.Admin.Do(setSettings, c.variables)
		code, field := got.Get("updateSystemSettings.userErrors.0.code"), got.Get("updateSystemSettings.userErrors.0.field")
		if c.code == "" && code != nil || c.code != "" && (code != c.code || field != c.field) {
			t.Errorf("%v: %v %v", c.variables, code, field)
		}
	}
	after := w.Admin.Must(`{ systemSettings { version settings { code value } } }`, nil)
	if after.Get("systemSettings.version") != before {
		t.Errorf("%v, before %v", after, before)
	}
}

func TestANewAppSecretHoldsForTheNextWebhook(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	body := []byte(`{"object":"page","entry":[]}`)
	post := func(signature string) int {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/webhooks/facebook", bytes.NewReader(body))
		request.Header.Set("X-Hub-Signature-256", signature)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	const fresh = "another secret of the app"
	if old, early := post(apptest.Sign(body)), post(messenger.Sign(fresh, body)); old != http.StatusOK || early == http.StatusOK {
		t.Fatalf("before: %d, %d", old, early)
	}
	w.Admin.Must(setSettings, map[string]any{"s": []any{setting(settings.FacebookAppSecret, fresh)}})
	if late, now := post(apptest.Sign(body)), post(messenger.Sign(fresh, body)); late == http.StatusOK || now != http.StatusOK {
		t.Errorf("after: %d, %d", late, now)
	}
}

func TestTheLimitOfChatsIsASetting(t *testing.T) {
	w := apptest.Start(t, apptest.Options{})
	ann := w.Add("Ann", operator.RoleOperator)
	w.Members(w.Queue, ann)
	w.Admin.Must(setSettings, map[string]any{"s": []any{setting(settings.SimultaneousChats, "1")}})
	accept := func(name string) any {
		return ann.Do(`mutation($c: ID!) { acceptChat(input: {chatId: $c}) { userErrors { code } } }`,
			map[string]any{"c": w.Hears(w.Customer(name), "hello from "+name)}).Get("acceptChat.userErrors.0.code")
	}
	if first, second := accept("Ada"), accept("Bob"); first != nil || second != "LIMIT_HIT" {
		t.Errorf("%v, %v", first, second)
	}
}
