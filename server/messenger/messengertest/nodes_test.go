package messengertest_test

import (
	"bytes"
	"errors"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

func TestATokenLeadsToItsPage(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	page, err := w.client.Me(w.ctx, w.page.Token)
	w.must(err)
	if page.ID != "101" || page.Name != "Demo page" {
		t.Errorf("%+v", page)
	}
	resp, err := w.client.HTTP.Get(page.PictureURL)
	w.must(err)
	defer resp.Body.Close()
	if _, err := png.Decode(resp.Body); err != nil {
		t.Errorf("the picture: %v", err)
	}
}

func TestTokensAndProofsAreChecked(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	strict := w.sim.AddApp(messengertest.App{ID: "333", Secret: "strict-secret", RequireProof: true})
	strictToken := w.page.NewToken(strict.ID)
	w.sim.KillToken(w.page.NewToken(w.app.ID), 0)
	dead := w.page.NewToken(w.app.ID)
	w.sim.KillToken(dead, 463)
	without := *w.client
	without.App = nil
	proven := without
	proven.App = func() messenger.App { return messenger.App{ID: strict.ID, Secret: strict.Secret} }
	for name, c := range map[string]struct {
		client        *messenger.Client
		token         string
		code, subcode int
	}{
		"none":                  {&without, "", 104, 0},
		"unknown":               {&without, "EAAGx", 190, 0},
		"dead":                  {&without, dead, 190, 463},
		"wrong proof":           {w.client, strictToken, 100, 0},
		"no proof, not needed":  {&without, w.page.Token, 0, 0},
		"no proof where needed": {&without, strictToken, 100, 0},
		"proof where needed":    {&proven, strictToken, 0, 0},
		"an app's own":          {&without, "222|app-secret", 210, 0},
	} {
		_, err := c.client.Me(w.ctx, c.token)
		var e *messenger.Error
		if errors.As(err, &e); (err == nil) != (c.code == 0) || err != nil && (e.Code != c.code || e.Subcode != c.subcode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProfilesAreAsOpenAsTheirPeople(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	for access, want := range map[messengertest.ProfileAccess]messenger.Class{
		messengertest.ProfileFull: "", messengertest.ProfilePartial: "",
		messengertest.ProfileNone: messenger.ClassRecipient, messengertest.ProfileDenied: messenger.ClassPermission,
	} {
		who := w.page.AddPerson(messengertest.Person{FirstName: "Zoë", LastName: "Weiß", Locale: "de_DE", Profile: access})
		p, err := w.client.Profile(w.ctx, w.page.Token, who.ID)
		if messenger.ClassOf(err) != want {
			t.Errorf("%s: %v", access, err)
		}
		full := p.Name == "Zoë Weiß" && p.Locale == "de_DE" && strings.Contains(p.PictureURL, who.ID)
		if full != (access == messengertest.ProfileFull) {
			t.Errorf("%s: %+v", access, p)
		}
	}
	if _, err := w.client.Profile(w.ctx, w.page.Token, "99"); messenger.ClassOf(err) != messenger.ClassInvalid {
		t.Errorf("a stranger: %v", err)
	}
}

func TestAPageIsSubscribedAndUnsubscribed(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	w.must(w.client.Subscribe(w.ctx, w.page.Token, "101", []string{"messages", "standby"}))
	got, err := w.client.Subscribed(w.ctx, w.page.Token, "101")
	if err != nil || len(got) != 1 || got[0].AppID != "222" || !slices.Equal(got[0].Fields, []string{"messages", "standby"}) {
		t.Errorf("%v %v", got, err)
	}
	if err := w.client.Subscribe(w.ctx, w.page.Token, "101", []string{"messages", "standy"}); messenger.ClassOf(err) != messenger.ClassInvalid {
		t.Errorf("a field that does not exist: %v", err)
	}
	w.must(w.client.Unsubscribe(w.ctx, w.page.Token, "101"))
	if got, err = w.client.Subscribed(w.ctx, w.page.Token, "101"); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

// graph makes a call as a client that puts everything into a form, as older ones do.
func (w *world) graph(method, path string, params url.Values) (int, string) {
	w.Helper()
	form := params.Encode()
	if method != http.MethodPost {
		path, form = path+"?"+form, ""
	}
	req, err := http.NewRequestWithContext(w.ctx, method, w.client.BaseURL+path, strings.NewReader(form))
	w.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := w.client.HTTP.Do(req)
	w.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, string(body)
}

func TestAnAppHasOneCallbackAndTheLastVerifiedOneWins(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	later := newReceiver(t)
	set := func(callback, verifyToken string) (int, string) {
		return w.graph("POST", "/222/subscriptions", url.Values{"access_token": {"222|app-secret"}, "object": {"page"},
			"callback_url": {callback}, "verify_token": {verifyToken}, "fields": {"messages,message_reads"}})
	}
	if status, body := set(later.url, "wrong"); status != 400 || !strings.Contains(body, `"code":2200`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := set("http://127.0.0.1:1/x", "verify"); status != 400 || strings.Contains(body, "verify_token") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := set(later.url, "verify"); status != 200 || body != `{"success":true}` {
		t.Errorf("%d %s", status, body)
	}
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	if got := kinds(w.settled()); got != "" || kinds(later.events()) != "message " {
		t.Errorf("the old callback got %q", got)
	}
	app := url.Values{"access_token": {"222|app-secret"}, "object": {"page"}}
	if _, body := w.graph("GET", "/v26.0/222/subscriptions", app); !strings.Contains(body, later.url) ||
		!strings.Contains(body, `{"name":"message_reads","version":"v26.0"}`) {
		t.Error(body)
	}
	app.Set("fields", "message_reads")
	w.graph("DELETE", "/222/subscriptions", app)
	if _, body := w.graph("GET", "/222/subscriptions", app); strings.Contains(body, "message_reads") || !strings.Contains(body, "messages") {
		t.Error(body)
	}
	app.Del("fields")
	w.graph("DELETE", "/222/subscriptions", app)
	if _, body := w.graph("GET", "/222/subscriptions", app); body != `{"data":[]}` {
		t.Error(body)
	}
	if status, _ := w.graph("GET", "/222/subscriptions", url.Values{"access_token": {w.page.Token}}); status != 400 {
		t.Error("a page's token reads an app's subscriptions")
	}
}

func TestParametersComeAsFormOrMultipartToo(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("x")
	status, body := w.graph("POST", "/v2.6/me/messages", url.Values{"access_token": {w.page.Token},
		"recipient": {`{"id":` + ann.ID + `}`}, "message": {`{"text":"form"}`}})
	if status != 200 || !strings.Contains(body, `"message_id":"m_`) {
		t.Errorf("%d %s", status, body)
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for name, value := range map[string]string{"recipient": `{"id":"` + ann.ID + `"}`, "message": `{"attachment":{"type":"image","payload":{}}}`} {
		w.must(form.WriteField(name, value))
	}
	file, err := form.CreateFormFile("filedata", "1.png")
	w.must(err)
	_, err = file.Write([]byte("png"))
	w.must(errors.Join(err, form.Close()))
	req, err := http.NewRequestWithContext(w.ctx, "POST", w.client.BaseURL+"/101/messages", &b)
	w.must(err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "OAuth "+w.page.Token)
	resp, err := w.client.HTTP.Do(req)
	w.must(err)
	resp.Body.Close()
	if sent := w.sim.Sent(); resp.StatusCode != 200 || len(sent) != 2 || sent[0].Text != "form" {
		t.Errorf("%d %+v", resp.StatusCode, sent)
	}
	log := w.sim.Requests()
	last := log[len(log)-1]
	if last.Method != "POST" || last.Path != "/101/messages" || last.Params["filedata"] != "1.png" || last.Status != 200 ||
		log[len(log)-2].Version != "v2.6" || last.Header.Get("Authorization") == "" {
		t.Errorf("%+v", last)
	}
	w.sim.Reset()
	if len(w.sim.Requests())+len(w.sim.Sent())+len(w.sim.Posts()) != 0 {
		t.Error("the logs are not empty")
	}
}

func TestATokenCanBeLookedInto(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	look := func(token string) string {
		_, body := w.graph("GET", "/debug_token", url.Values{"access_token": {"222|app-secret"}, "input_token": {token}})
		return body
	}
	if body := look(w.page.Token); !strings.Contains(body, `"is_valid":true`) || !strings.Contains(body, `"profile_id":"101"`) {
		t.Error(body)
	}
	w.sim.KillToken(w.page.Token, 460)
	if body := look(w.page.Token); !strings.Contains(body, `"is_valid":false`) || !strings.Contains(body, `"subcode":460`) {
		t.Error(body)
	}
}

func TestOnlyFieldsThatExistCanBeAskedFor(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ask := func(fields string) (int, string) {
		return w.graph("GET", "/101", url.Values{"access_token": {w.page.Token}, "fields": {fields}})
	}
	if status, body := ask("name, picture.type(large){url,width}"); status != 200 || !strings.Contains(body, "is_silhouette") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := ask("nam"); status != 400 || !strings.Contains(body, "nonexisting field (nam)") {
		t.Errorf("%d %s", status, body)
	}
}
