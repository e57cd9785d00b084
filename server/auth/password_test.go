package auth

import (
	"context"
	"strings"
	"testing"

	"parley/server/fault"
)

func TestAPasswordHasTenTo256Characters(t *testing.T) {
	for _, c := range []struct {
		password string
		ok       bool
	}{
		{"", false}, {strings.Repeat("ж", 9), false}, {strings.Repeat("ж", 10), true},
		{strings.Repeat("ж", 256), true}, {strings.Repeat("x", 257), false},
	} {
		hash, err := Hash(c.password)
		if (fault.CodeOf(err) == fault.Invalid) == c.ok || (hash != "") != c.ok {
			t.Errorf("%d bytes: %v", len(c.password), err)
		}
	}
}

func TestAMissingHashCostsAsMuchAsOneOfToday(t *testing.T) {
	match, stale, err := check(context.Background(), "whatever it is", "")
	if match || stale || err != nil {
		t.Errorf("match %v, other parameters %v, %v", match, stale, err)
	}
}

func TestWhoGaveUpDoesNotWaitForRoomToHash(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	defer func() {
		for range cap(hashing) {
			<-hashing
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := check(ctx, "whatever it is", ""); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestAnEmailHasOneForm(t *testing.T) {
	if got, err := Email(" Ann.Lee+x@Example.ORG\n"); got != "ann.lee+x@example.org" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"", "ann", "@", "ann@", "@b", "a@b@c", "a b@c", "a\x00@b", "a\xff@b", strings.Repeat("a", 254) + "@b"} {
		if _, err := Email(text); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}
