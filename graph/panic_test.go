package graph

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"parley/server/desk"
)

func TestAPanicIsLoggedWithItsStackAndShownAsNothingButARequestID(t *testing.T) {
	var log bytes.Buffer
	r := &Resolver{Log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx := WithRequest(t.Context(), "127.0.0.1:1")
	shown := r.Present(ctx, r.Recover(ctx, "a secret came loose"))
	id := requestID(ctx)
	if shown.Message != "internal error" || shown.Extensions["code"] != "INTERNAL" || shown.Extensions["requestId"] != id || id == "" {
		t.Errorf("%+v", shown)
	}
	for _, want := range []string{id, "a secret came loose", "panic_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, log.String())
		}
	}
}

func TestAnErrorThatIsNoFaultShowsNothingOfItself(t *testing.T) {
	r := &Resolver{Log: slog.New(slog.DiscardHandler)}
	shown := r.Present(WithRequest(t.Context(), ""), errors.New("pq: password of user parley is wrong"))
	if strings.Contains(shown.Error(), "pq") || shown.Extensions["code"] != "INTERNAL" {
		t.Errorf("%+v", shown)
	}
}

func TestAPanicWhileAStreamIsShownEndsTheStreamAlone(t *testing.T) {
	r := &Resolver{Log: slog.New(slog.DiscardHandler)}
	// A feed of nothing panics at its first step, as a broken row would.
	err := r.stream(WithRequest(context.Background(), ""), &desk.Feed{}, func(desk.Update) error { return nil })
	if !errors.Is(err, errPanic) {
		t.Error(err)
	}
}
