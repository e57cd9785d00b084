package storetest

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"parley/server/store"
)

// Plan is how PostgreSQL would run a statement that it has planned once for all
// values, as it does with those that are kept prepared.
type Plan struct {
	Node  string  `json:"Node Type"`
	Table string  `json:"Relation Name"`
	Index string  `json:"Index Name"`
	Rows  float64 `json:"Plan Rows"`
	Plans []Plan
}

// Each gives the plan and all below it.
func (p Plan) Each(f func(Plan)) {
	f(p)
	for _, below := range p.Plans {
		below.Each(f)
	}
}

// Explain plans a statement on PostgreSQL.
func Explain(t testing.TB, s *store.Store, text string, args ...any) Plan {
	t.Helper()
	conn, err := s.DB.Conn(t.Context())
	check(t, err)
	defer conn.Close()
	values := make([]string, len(args))
	for i, arg := range args {
		if v, ok := arg.(driver.Valuer); ok {
			arg, err = v.Value()
			check(t, err)
		}
		values[i] = fmt.Sprintf("'%v'", arg)
	}
	_, err = conn.ExecContext(t.Context(), "SET plan_cache_mode = force_generic_plan; PREPARE hot AS "+text)
	check(t, err)
	var found []byte
	check(t, conn.QueryRowContext(t.Context(), "EXPLAIN (FORMAT JSON) EXECUTE hot("+strings.Join(values, ", ")+")").Scan(&found))
	_, err = conn.ExecContext(t.Context(), "DEALLOCATE hot; RESET plan_cache_mode")
	check(t, err)
	var plans []struct{ Plan Plan }
	check(t, json.Unmarshal(found, &plans))
	return plans[0].Plan
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
