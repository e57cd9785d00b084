package eventlog

import (
	"encoding/base64"
	"math"
	"testing"

	"parley/server/store"
	"parley/server/store/storetest"
)

func TestAReaderAtATrimmedPositionIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		put(t, s, some(5, day)...)
		put(t, s, some(5, day.AddDate(0, 0, 1))...)
		l := open(t, s)
		if err := l.Trim(patient(t), day.AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		for after, want := range map[int64]error{0: ErrTrimmed, 4: ErrTrimmed, 5: nil, 10: nil} {
			entries, err := l.Read(patient(t), after, 100)
			if err != want || err == nil && len(entries) != int(10-after) {
				t.Errorf("after %d: %d entries, %v", after, len(entries), err)
			}
		}
	})
}

func TestTheNumbersGoOnAfterEverythingWasTrimmed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		last := put(t, s, some(5, day)...)
		if err := open(t, s).Trim(patient(t), day.AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		l := open(t, s)
		if at, err := l.Position(patient(t), l.Cursor(l.Head())); at != last || err != nil {
			t.Errorf("the log ends at %d, %v", at, err)
		}
		if next := put(t, s, some(1, day)...); next != last+1 {
			t.Errorf("after event %d comes %d", last, next)
		}
	})
}

func TestACursorThatThisLogDidNotWriteIsUnknown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		ahead := put(t, s, some(3, day)...) // by another replica; this one has not read it
		for _, at := range []int64{0, ahead} {
			if got, err := l.Position(patient(t), l.Cursor(at)); got != at || err != nil {
				t.Errorf("position %d is read as %d, %v", at, got, err)
			}
		}
		raw := base64.RawURLEncoding.EncodeToString
		good := l.Cursor(1)
		for name, cursor := range map[string]string{
			"future": l.Cursor(ahead + 1), "negative": l.Cursor(-1), "of another epoch": (&Log{epoch: "other"}).Cursor(1),
			"empty": "", "not base64": "?", "without a number": raw([]byte(l.epoch)), "padded": good + "=",
			"written in another way": raw([]byte(l.epoch + ":+1")), "broken": good + "\n", "too large": raw([]byte(l.epoch + ":9223372036854775808")),
		} {
			if at, err := l.Position(patient(t), cursor); err != ErrUnknown {
				t.Errorf("a cursor that is %s: %d, %v", name, at, err)
			}
		}
	})
}

func FuzzPosition(f *testing.F) {
	l := &Log{epoch: "0123abcd", head: math.MaxInt64}
	for _, seed := range []string{"", "x", l.Cursor(0), l.Cursor(77), l.Cursor(-5), l.Cursor(math.MaxInt64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		at, err := l.Position(t.Context(), cursor)
		if err == nil && (at < 0 || l.Cursor(at) != cursor) || err != nil && err != ErrUnknown {
			t.Errorf("%q is %d, %v", cursor, at, err)
		}
	})
}
