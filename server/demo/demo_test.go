package demo_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"parley/server/app/apptest"
	"parley/server/config"
	"parley/server/demo"
)

func TestTheDemoShowsMessagesAsTheyComeAndLeavesNothingBehind(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	c, err := config.Load([]string{"-addr", "127.0.0.1:0", "-data", folder + "/untouched"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- demo.Run(ctx, c, slog.New(slog.DiscardHandler), in)
		_ = in.Close()
	}()
	lines, said := bufio.NewScanner(out), map[string]string{}
	for said["Stop with Ctrl+C; nothing is kept."] == "" && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		said[name] = value + " "
	}
	url := strings.TrimSuffix(strings.TrimSpace(said["Parley demo"]), "/")
	if url == "" {
		t.Fatal(<-ended)
	}
	page, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	html, _ := io.ReadAll(page.Body)
	_ = page.Body.Close()
	if !strings.Contains(string(html), "LiveMessages") || !strings.Contains(string(html), "Bearer ") {
		t.Errorf("GraphiQL does not open on the live messages: %.300s", html)
	}
	w := apptest.Remote(t, url)
	for _, email := range []string{strings.TrimSpace(said["e-mail"]), "ann@demo.example"} {
		socket := w.Connect(w.SignInBy(email, strings.TrimSpace(said["password"])))
		socket.Subscribe("1", `subscription { messageAdded { message { text direction author { kind name } chat { queue { name } } } } }`, nil)
		if f := socket.Read(); f.Get("messageAdded.message.direction") != "INBOUND" || f.Get("messageAdded.message.chat.queue.name") != "Support" {
			t.Errorf("%+v", f)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
