package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"parley/server/store"
)

// marks are texts to look for by what they are, each in all forms in which it
// might get somewhere. Safe for concurrent use.
type marks struct {
	mu    sync.Mutex
	forms map[string]map[string]string
}

// add gives a text to look for. It says whether it is a new one.
func (m *marks) add(what, text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forms == nil {
		m.forms = map[string]map[string]string{}
	}
	for _, forms := range m.forms {
		if forms[asItIs] == text {
			return false
		}
	}
	m.forms[fmt.Sprintf("%s (%d)", what, len(m.forms)+1)] = formsOf(text)
	return true
}

// in lists what of it is in a text.
func (m *marks) in(text []byte) (found []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for what, forms := range m.forms {
		for form, look := range forms {
			if at := bytes.Index(text, []byte(look)); at >= 0 {
				found = append(found, fmt.Sprintf("%s, %s: …%q…", what, form, text[max(0, at-100):min(len(text), at+len(look)+20)]))
			}
		}
	}
	return found
}

// count is how many texts are looked for.
func (m *marks) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.forms)
}

const asItIs = "as it is"

func formsOf(text string) map[string]string {
	inJSON, _ := json.Marshal(text)
	forms := map[string]string{
		asItIs: text, "in JSON": strings.Trim(string(inJSON), `"`), "quoted": strings.Trim(strconv.Quote(text), `"`),
		"in hexadecimal": hex.EncodeToString([]byte(text)), "in capital hexadecimal": strings.ToUpper(hex.EncodeToString([]byte(text))),
		"escaped as in a query": url.QueryEscape(text), "escaped as in a path": url.PathEscape(text),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 of URLs": base64.RawURLEncoding} {
		for before := range 3 { // bytes of its group of three that are something else's
			whole := encoding.EncodeToString(append(make([]byte, before), text...))
			forms[fmt.Sprintf("%s after %d bytes", name, before)] = whole[(before*8+5)/6 : (before+len(text))*8/6]
		}
	}
	maps.DeleteFunc(forms, func(form, look string) bool { return form != asItIs && look == text })
	return forms
}

// contents is every value of every table as it was given to the database.
func contents(t *testing.T, s *store.Store) []byte {
	t.Helper()
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if s.Postgres() {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
	}
	var all bytes.Buffer
	for _, table := range values(t, s, list) {
		for _, value := range values(t, s, `SELECT * FROM "`+string(table)+`"`) {
			all.Write(append(value, '\n'))
		}
	}
	return all.Bytes()
}

// values are those of all columns of all rows, bytes as they are.
func values(t *testing.T, s *store.Store, query string) (all [][]byte) {
	t.Helper()
	rows, err := s.DB.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, value := range row {
			if raw, ok := value.([]byte); ok {
				all = append(all, slices.Clone(raw))
			} else {
				all = append(all, fmt.Append(nil, value))
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAMarkIsFoundInEveryForm(t *testing.T) {
	const mark = "a mark/of+the&test \"ü\""
	var m marks
	m.add("the mark", mark)
	token := url.Values{"access_token": {mark}}.Encode()
	inJSON, _ := json.Marshal(map[string]string{"error": "refused: " + mark})
	texts := map[string]string{
		"a text": "the token is " + mark, "a query": token, "a path": "/pages/" + url.PathEscape(mark),
		"JSON": string(inJSON), "a line of the log": strconv.Quote("refused " + mark), "bytea": hex.EncodeToString([]byte("?" + mark)),
		"an id": fmt.Sprintf("%X", "?"+mark),
	}
	for before := range 6 {
		texts[fmt.Sprintf("credentials, %d", before)] = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("i", before) + mark + ":s"))
		texts[fmt.Sprintf("a cursor, %d", before)] = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("i", before) + mark))
	}
	for _, what := range slices.Sorted(maps.Keys(texts)) {
		if len(m.in([]byte(texts[what]))) == 0 {
			t.Errorf("it is not found in %s: %s", what, texts[what])
		}
		if found := m.in([]byte(strings.ReplaceAll(texts[what], mark, "another mark"))); what == "a text" && len(found) > 0 {
			t.Errorf("it is found where it is not: %v", found)
		}
	}
}
