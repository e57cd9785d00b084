package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

func TestTheCommandRefusesWhatItCannotServe(t *testing.T) {
	for name, args := range map[string][]string{
		"a page without token": {"-page", "101"},
		"a dead callback":      {"-addr", "127.0.0.1:0", "-callback", "http://127.0.0.1:1/"},
		"a bad address":        {"-addr", "nowhere:x"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
