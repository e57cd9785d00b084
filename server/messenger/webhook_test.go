package messenger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestSplitCutsAPostIntoItsItems(t *testing.T) {
	const (
		hello   = `{"sender":{"id":"11"},"recipient":{"id":"1"},"timestamp":1795000000123,"message":{"mid":"m_1","text":"H\u00e4 <\/b>"}}`
		botEcho = `{ "sender":{"id":"2"}, "recipient":{"id":22}, "message":{"is_echo":true,"app_id":111,"mid":"m_2"} }`
		label   = `{"field":"inbox_labels","value":{"user":{"id":"33"}}}`
	)
	body := `{"object":"page","entry":[` +
		`{"id":"1","time":1795000000456,"hop_context":[{"app_id":"7"}],"messaging":[` + hello + `,` + hello + `]},` +
		`{"id":2,"time":1795000000457,"standby":[` + botEcho + `],"messaging":[],"changes":[` + label + `]}]}`
	one := `{"object":"page","entry":[{"id":"1","time":1795000000456,"hop_context":[{"app_id":"7"}],"messaging":[` + hello + `]}]}`
	want := []Item{
		{Object: "page", Page: "1", Person: "11", Kind: KindMessage, Standby: false, whole: []byte(one)},
		{Object: "page", Page: "1", Person: "11", Kind: KindMessage, Standby: false, whole: []byte(one)},
		{Object: "page", Page: "2", Person: "22", Kind: KindEcho, Standby: true, whole: []byte(`{"object":"page","entry":[{"id":2,"time":1795000000457,"standby":[` + botEcho + `]}]}`)},
		{Object: "page", Page: "2", Person: "", Kind: KindChange, Standby: false, whole: []byte(`{"object":"page","entry":[{"id":2,"time":1795000000457,"changes":[` + label + `]}]}`)},
	}
	compareItems(t, Split([]byte(body)), want)
}

func compareItems(t *testing.T, got, want []Item) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d items, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got, want := told(got[i]), told(want[i]); got != want {
			t.Errorf("item %d:\n got %s\nwant %s", i, got, want)
		}
	}
}

func told(i Item) string {
	return fmt.Sprintf("%q page %q person %q %s standby %t %s", i.Object, i.Page, i.Person, i.Kind, i.Standby, i.Body())
}

func TestWhatIsNoBatchOfEventsIsKeptWhole(t *testing.T) {
	const permissions = `{"object":"permissions","entry":[{"id":"9","uid":"9","time":1567635588,"changes":[{"field":"connected"}]}]}`
	for name, c := range map[string]struct{ body, kind, page string }{
		"nothing":                   {``, KindMalformed, ""},
		"not JSON":                  {`<html>`, KindMalformed, ""},
		"cut off":                   {`{"object":"page","entry":[{"id":"1"`, KindMalformed, ""},
		"JSON but no object":        {`[1,2]`, KindMalformed, ""},
		"no entry":                  {`{"object":"page"}`, KindUnknown, ""},
		"no entries":                {`{"object":"page","entry":[]}`, KindUnknown, ""},
		"entry is no array":         {`{"object":"page","entry":{"id":"1"}}`, KindMalformed, ""},
		"an entry is no object":     {`{"object":"page","entry":["x"]}`, KindMalformed, ""},
		"an entry without events":   {`{"object":"page","entry":[{"id":"1","time":5}]}`, KindUnknown, "1"},
		"an entry with none":        {`{"object":"page","entry":[{"id":"1","messaging":[]}]}`, KindUnknown, "1"},
		"events are no array":       {`{"object":"page","entry":[{"id":"1","messaging":"x"}]}`, KindMalformed, "1"},
		"an event is no object":     {`{"object":"page","entry":[{"id":"1","messaging":["x"]}]}`, KindMalformed, "1"},
		"another object":            {permissions, KindUnknown, ""},
		"the console's test":        {`{"object":"page","entry":[{"messaging":[{"message":"TEST_MESSAGE"}]}]}`, KindUnknown, ""},
		"a kind of later times":     {`{"object":"page","entry":[{"id":"1","messaging":[{"hologram":{"mid":"x"}}]}]}`, KindUnknown, "1"},
		"members out of order":      {`{"entry":[{"messaging":[{"hologram":1}],"id":"1"}],"object":"page"}`, KindUnknown, "1"},
		"escapes in members' names": {`{"\u006fbject":"page","entry":[{"id":"1","messagin\u0067":[{"x":1}]}]}`, KindUnknown, "1"},
	} {
		items := Split([]byte(c.body))
		if len(items) != 1 {
			t.Errorf("%s: %d items", name, len(items))
			continue
		}
		if items[0].Kind != c.kind || items[0].Page != c.page || items[0].Person != "" {
			t.Errorf("%s: %s", name, told(items[0]))
		}
		if !strings.Contains(name, "order") && !strings.Contains(name, "escapes") && string(items[0].Body()) != c.body {
			t.Errorf("%s: changed to %s", name, items[0].Body())
		}
	}
}

func TestEntriesOfOtherObjectsAreCutButNotTakenApart(t *testing.T) {
	items := Split([]byte(`{"object":"permissions","entry":[{"id":"8","changes":[1,2]},{"id":"9","changes":[3]}]}`))
	compareItems(t, items, []Item{
		{Object: "permissions", Kind: KindUnknown, whole: []byte(`{"object":"permissions","entry":[{"id":"8","changes":[1,2]}]}`)},
		{Object: "permissions", Kind: KindUnknown, whole: []byte(`{"object":"permissions","entry":[{"id":"9","changes":[3]}]}`)},
	})
}

func TestThePersonIsThePartyThatIsNotThePage(t *testing.T) {
	for item, want := range map[string]string{
		`{"sender":{"id":"11"},"recipient":{"id":"1"},"message":{"mid":"m"}}`:                              "11",
		`{"sender":{"id":12345678901234567890123},"recipient":{"id":1},"message":{"mid":"m"}}`:             "12345678901234567890123",
		`{"sender":{"id":"1"},"recipient":{"id":"11"},"message":{"mid":"m","is_echo":true}}`:               "11",
		`{"message":{"mid":"m","is_echo":true},"recipient":{"id":"11"},"sender":{"id":"1"}}`:               "11",
		`{"sender":{"user_ref":"r-1"},"recipient":{"id":"1"},"optin":{"ref":"x"}}`:                         "user_ref:r-1",
		`{"sender":{"user_ref":"r-1","id":"11"},"recipient":{"id":"1"},"optin":{"ref":"x"}}`:               "11",
		`{"sender":{"id":"11"},"recipient":{"id":"11"},"request_thread_control":{}}`:                       "11", // as documented
		`{"recipient":{"id":"11"},"app_roles":{"222":["primary_receiver"]}}`:                               "",
		`{"recipient":{"id":"1"},"policy_enforcement":{"action":"block"}}`:                                 "",
		`{"recipient":{"id":"1"},"policy-enforcement":{"action":"block"}}`:                                 "",
		`{"sender":{"id":"1"},"recipient":{"id":"1"},"message":{"mid":"m"}}`:                               "",
		`{"sender":{"id":["x"]},"recipient":null,"message":{"mid":"m"}}`:                                   "",
		`{"sender":{"id":"1\u0000\ud8001"},"recipient":{"id":"1"},"prior_message":{},"message":{"mid":1}}`: "1\ufffd1",
	} {
		items := Split([]byte(`{"object":"page","entry":[{"id":"1","messaging":[` + item + `]}]}`))
		if len(items) != 1 || items[0].Person != want || items[0].Page != "1" || items[0].Kind == KindUnknown {
			t.Errorf("%s: %+v", item, items)
		}
	}
}

// FuzzSplit holds Split to its promise with encoding/json as the judge of what is in a post.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`{"object":"page","entry":[{"id":"1","time":5,"messaging":[{"message":{"mid":"m"}},2],"standby":["x"],"changes":[null]}]}`,
		`{"object":"permissions","entry":[{"id":"8","changes":[1,2]},[],{}]}`,
		`{"entry":[{"messaging":{}},7],"entry":3,"object":"page"}`,
		`{"object":"page","entry":[{"\u0069d":"\ud800","messaging":[{"a\"b":"}]"}]}]}`, `[]`, ` {} `, `"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items := Split(body)
		if len(items) == 0 {
			t.Fatal("nothing is left")
		}
		kept := map[string]int{}
		for _, item := range items {
			again := Split(item.Body())
			if len(again) != 1 || again[0].Kind != item.Kind || again[0].Page != item.Page || again[0].Person != item.Person {
				t.Fatalf("an item is not a post of its own: %s: %+v", told(item), again)
			}
			event, err := item.Decode()
			stored, storedErr := again[0].Decode()
			if !reflect.DeepEqual(event, stored) || (err == nil) != (storedErr == nil) {
				t.Fatalf("%s is decoded to %+v, %v, and stored to %+v, %v", told(item), event, err, stored, storedErr)
			}
			for _, element := range elementsOf(item.Body()) {
				kept[element]++
			}
		}
		for _, element := range elementsOf(body) {
			if kept[element]--; kept[element] < 0 {
				t.Fatalf("lost: %s", element)
			}
		}
	})
}

// elementsOf gives what is in a post by array, compacted.
func elementsOf(body []byte) []string {
	var post map[string]json.RawMessage
	var entries []json.RawMessage
	if json.Unmarshal(body, &post) != nil || json.Unmarshal(post["entry"], &entries) != nil {
		return nil
	}
	var all []string
	for _, raw := range entries {
		var entry map[string]json.RawMessage
		if string(post["object"]) != `"page"` || json.Unmarshal(raw, &entry) != nil {
			all = append(all, compact(raw))
			continue
		}
		for _, array := range []string{"messaging", "standby", "changes"} {
			var elements []json.RawMessage
			_ = json.Unmarshal(entry[array], &elements)
			for _, element := range elements {
				all = append(all, array+compact(element))
			}
		}
	}
	return all
}

func compact(raw []byte) string {
	var b bytes.Buffer
	_ = json.Compact(&b, raw)
	return b.String()
}

func BenchmarkSplit(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"sender":{"id":"24000000000%05d"},"recipient":{"id":"101234567890123"},`+
				`"timestamp":1795000000123,"message":{"mid":"m_%080d","text":"%s"}}`, i, i, strings.Repeat(`\u0434`, 100)))
		}
		body := []byte(`{"object":"page","entry":[{"id":"101234567890123","time":1795000000456,"messaging":[` +
			strings.Join(items, ",") + `]}]}`)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if len(Split(body)) != n {
					b.Fatal("lost some")
				}
			}
		})
	}
}
