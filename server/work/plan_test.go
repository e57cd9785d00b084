package work

import (
	"testing"

	"parley/server/store/storetest"
)

// A plan is kept, and made while nothing is there: what comes in a rush must not
// be read and sorted whole by each claim.
func TestAClaimReadsInOrderWhateverThereWasWhenItWasPlanned(t *testing.T) {
	s := storetest.Postgres(t)
	walks := false
	storetest.Explain(t, s, statementsFor(true).claim, "2026-03-01T12:00:00Z", 16, "token", 30_000, "send", "1970-01-01T00:00:00Z").
		Each(func(p storetest.Plan) {
			if p.Node == "Sort" || p.Node == "Seq Scan" {
				t.Errorf("%s %s", p.Node, p.Table)
			}
			walks = walks || p.Index == "work_due"
		})
	if !walks {
		t.Error("what is due is not found by its index")
	}
}
