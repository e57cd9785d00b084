package globalid

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestAnIDIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u uuid.UUID
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
		id := Of(rapid.StringMatching(`[a-z]{1,20}`).Draw(t, "kind"), u)
		if got, err := Parse(id.String()); err != nil || got != id {
			t.Fatalf("%v is read as %v, %v", id, got, err)
		}
	})
}

func TestANumberIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		if got, err := Parse(OfNumber("entry", n).String()); err != nil || got.Number() != n {
			t.Fatalf("%d is read as %v, %v", n, got, err)
		}
	})
}

func TestIDsDifferWhereTheirThingsDo(t *testing.T) {
	u := uuid.MustParse("0199f000-0000-7000-8000-000000000001")
	if Of("chat", u).String() == Of("message", u).String() {
		t.Error("a chat and a message have the same id")
	}
}

func TestWhatIsNoIDIsRefused(t *testing.T) {
	good := Of("chat", uuid.Nil).String()
	for _, s := range []string{
		"", "_", "chat", "chat_", good[4:], good + "0", good[:len(good)-1], "Chat" + good[4:], "ch\"t" + good[4:],
		good[:len(good)-1] + "1" /* bits beyond the last byte */, good[:len(good)-1] + "u", good[:len(good)-2] + "\n0", "c_" + good,
	} {
		if id, err := Parse(s); err == nil {
			t.Errorf("%q is %v", s, id)
		}
	}
	for _, v := range []any{nil, 7, true, good + "x"} {
		if err := new(ID).UnmarshalGQL(v); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", v, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "chat_", Of("chat", uuid.Nil).String(), OfNumber("entry", -1).String(), "a_b_c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			return
		}
		if id.String() != s {
			t.Errorf("%q is also %q", s, id)
		}
		var wire bytes.Buffer
		id.MarshalGQL(&wire)
		var text string
		var back ID
		if err := json.Unmarshal(wire.Bytes(), &text); err != nil || back.UnmarshalGQL(text) != nil || back != id {
			t.Errorf("%q goes out as %s and comes back as %v: %v", s, wire.Bytes(), back, err)
		}
	})
}
