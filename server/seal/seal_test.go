package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"parley/server/seal"
)

func box(t testing.TB, list string) *seal.Box {
	t.Helper()
	b, err := seal.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsSealedOpensInItsPlaceAndNowhereElse(t *testing.T) {
	b := box(t, seal.Generate())
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		place, other := rapid.String().Draw(t, "place"), rapid.String().Draw(t, "other")
		sealed := b.Seal(secret, place)
		if opened, err := b.Open(sealed, place); err != nil || !bytes.Equal(opened, secret) {
			t.Fatalf("opened %q, %v", opened, err)
		}
		if _, err := b.Open(sealed, other); (err == nil) != (other == place) {
			t.Fatalf("opened elsewhere: %v", err)
		}
	})
}

func TestAChangedValueDoesNotOpen(t *testing.T) {
	b := box(t, seal.Generate())
	rapid.Check(t, func(t *rapid.T) {
		sealed := b.Seal([]byte("a secret"), "place")
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		sealed[at] ^= rapid.ByteRange(1, 255).Draw(t, "change")
		if _, err := b.Open(sealed, "place"); !errors.Is(err, seal.ErrUnopened) {
			t.Fatalf("changed at %d: %v", at, err)
		}
	})
}

func TestACutValueDoesNotOpen(t *testing.T) {
	b := box(t, seal.Generate())
	sealed := b.Seal([]byte("a secret"), "place")
	for n := range sealed {
		if _, err := b.Open(sealed[:n], "place"); !errors.Is(err, seal.ErrUnopened) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestSealingTwiceGivesDifferentBytes(t *testing.T) {
	b := box(t, seal.Generate())
	if bytes.Equal(b.Seal([]byte("x"), ""), b.Seal([]byte("x"), "")) {
		t.Error("equal secrets can be told from their seals")
	}
}

func TestTheFirstKeySealsAndAllOpen(t *testing.T) {
	older, newer := seal.Generate(), seal.Generate()
	before, both, after := box(t, older), box(t, newer+" , "+older), box(t, newer)

	old := before.Seal([]byte("x"), "place")
	if opened, err := both.Open(old, "place"); err != nil || string(opened) != "x" {
		t.Fatalf("the older key no longer opens: %q, %v", opened, err)
	}
	if before.Stale(old) || !both.Stale(old) {
		t.Error("a value is stale exactly if another key than the first sealed it")
	}
	renewed := both.Seal([]byte("x"), "place")
	if both.Stale(renewed) {
		t.Error("the first key did not seal")
	}
	if _, err := after.Open(renewed, "place"); err != nil {
		t.Errorf("after the older key is gone: %v", err)
	}
	if _, err := after.Open(old, "place"); !errors.Is(err, seal.ErrUnopened) {
		t.Errorf("a key that is not in the list opened: %v", err)
	}
}

func TestABadListIsRefusedWithoutShowingIt(t *testing.T) {
	good := seal.Generate()
	short := base64.StdEncoding.EncodeToString([]byte("too short to be a key"))
	for name, list := range map[string]string{
		"empty":          "",
		"not base64":     "hunter2-hunter2!",
		"too short":      short,
		"second is bad":  good + "," + short,
		"trailing comma": good + ",",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.New(list)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range []string{good, short, "hunter2"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error shows the key: %v", err)
				}
			}
		})
	}
}
