package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"parley/server/messenger"
)

func TestTheCommandServesPagesWhoseCustomersKeepWriting(t *testing.T) {
	heard := make(chan string, 1000)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		if messenger.Verify("s", r.Header.Get("X-Hub-Signature-256"), body) {
			heard <- messenger.Split(body)[0].Kind
		}
	}))
	defer receiver.Close()
	out, in := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-app-secret", "s", "-callback", receiver.URL, "-page", "101:T:Demo: page",
			"-customers", "1", "-every", "1ms"}, in)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := messenger.Client{BaseURL: strings.TrimSpace(strings.TrimPrefix(line, "Graph API on "))}
	if kind := <-heard; kind != messenger.KindMessage {
		t.Errorf("heard %s", kind)
	}
	if page, err := client.Me(ctx, "T"); err != nil || page.Name != "Demo: page" {
		t.Errorf("%+v %v", page, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheCommandKnowsPeopleWhoLogInAndTheirPages(t *testing.T) {
	out, in := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-app-id", "222", "-app-secret", "s", "-subscribe=false",
			"-page", "101::Demo", "-page", "102::Shop", "-page", "103::Partner", "-redirect", "https://desk.example/back",
			"-user", "2001:Ann: Lee:101,102=MESSAGING+MODERATE,103@9001"}, in)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(strings.TrimPrefix(line, "Graph API on "))
	client := messenger.Client{BaseURL: address, DialogURL: address, App: func() messenger.App { return messenger.App{ID: "222", Secret: "s"} }}
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.PostForm(client.LoginURL(messenger.Login{RedirectURI: "https://desk.example/back", State: "x"}),
		url.Values{"user": {"2001"}, "page": {"all"}, "act": {"continue"}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	grant, err := client.ExchangeCode(ctx, back.Query().Get("code"), "https://desk.example/back", "")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := client.LoginPages(ctx, grant.Token)
	if err != nil || len(pages) != 3 || pages[1].Name != "Shop" || len(pages[1].Tasks) != 2 || pages[2].ID != "103" {
		t.Errorf("%+v %v", pages, err)
	}
	if who, err := client.Me(ctx, grant.Token); err != nil || who.Name != "Ann: Lee" {
		t.Errorf("%+v %v", who, err)
	}
	if subscribed, err := client.Subscribed(ctx, pages[0].Token, "101"); err != nil || len(subscribed) != 0 {
		t.Errorf("%+v %v", subscribed, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheCommandRefusesWhatItCannotServe(t *testing.T) {
	for name, args := range map[string][]string{
		"a page without token": {"-page", "101"},
		"a user without pages": {"-user", "2001:Ann"},
		"a user of no page":    {"-addr", "127.0.0.1:0", "-user", "2001:Ann:101"},
		"a dead callback":      {"-addr", "127.0.0.1:0", "-callback", "http://127.0.0.1:1/"},
		"a bad address":        {"-addr", "nowhere:x"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
