package desk

import (
	"fmt"
	"testing"
	"time"
)

func TestARepeatIsFoundWhoeverStoredTheMessage(t *testing.T) {
	onDesk(t, func(b *bench) {
		other := b.desk
		if b.store.Postgres() {
			other = b.open(b.store)
		}
		b.applied(wrote("ann", "m1", noon), wrote("ann", "m2", noon))
		for range 2 { // at first it is not remembered, then everything is looked for
			settled := must(receive(other, []Inbound{wrote("ann", "m2", noon), wrote("ben", "m3", noon)}))
			equal(b, "outcomes", fmt.Sprint(settled[0].Outcome, settled[1].Outcome), fmt.Sprint(Applied, Applied))
		}
		equal(b, "messages", must(b.client().Message.Query().Count(ctx)), 3)
	})
}

func TestTheLastMessagesAreRemembered(t *testing.T) {
	r := newRecent()
	message := func(i int) []person { return []person{{id: fmt.Sprint(i)}} }
	for i := range 5 * remembered {
		r.add(message(i))
		if old := i - remembered + 1; old >= 0 && r.mayHave(message(old), noon) == nil {
			t.Fatalf("%d is forgotten after %d", old, i)
		}
	}
	if kept := len(r.young) + len(r.old); kept > 2*remembered {
		t.Errorf("%d are kept", kept)
	}
	strange := message(-1)
	r.wonder(noon)
	if r.mayHave(strange, noon.Add(doubt-1)) == nil || r.mayHave(strange, noon.Add(doubt+time.Second)) != nil {
		t.Error("all are looked for, for a moment")
	}
}

func BenchmarkWhatIsLookedFor(b *testing.B) {
	r := newRecent()
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		m := []person{{id: fmt.Sprint("m_", next)}}
		_ = r.mayHave(m, noon)
		r.add(m)
		next++
	}
}
