package messenger

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestPagesAreReadToTheEndByCursorsAlone(t *testing.T) {
	calls := 0
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch r.URL.Path {
		case "/v26.0/me/accounts":
			calls++
			if q.Get("limit") != "100" || q.Get("fields") != "id,name,access_token,category,tasks,picture" {
				t.Errorf("%s", r.URL)
			}
			switch q.Get("after") {
			case "":
				_, _ = io.WriteString(w, `{"data":[{"id":"101","name":"A","access_token":"T1","category":"Brand","tasks":["MESSAGING"],"picture":{"data":{"url":"https:\/\/p"}}},"odd"],`+
					`"paging":{"cursors":{"after":"c1"},"next":"http://127.0.0.1:1/elsewhere?access_token=T"}}`)
			case "c1":
				_, _ = io.WriteString(w, `{"data":[{"id":102,"name":"B","tasks":[]},{"id":"101"}],"paging":{"cursors":{"after":"c2"},"next":"x"}}`)
			case "c2":
				_, _ = io.WriteString(w, `{"data":[{"id":"103"}],"paging":{"cursors":{"after":"c3"}}}`)
			default:
				t.Errorf("read on after the end: %s", r.URL)
			}
		default:
			says(400, `{"error":{"code":100,"message":"(#100) Tried accessing nonexisting field (businesses)"}}`)(w, r)
		}
	})
	got, err := c.LoginPages(context.Background(), token)
	want := `[{"ID":"101","Name":"A","Category":"Brand","PictureURL":"https://p","Token":"T1","Tasks":["MESSAGING"]},` +
		`{"ID":"102","Name":"B","Category":"","PictureURL":"","Token":"","Tasks":[]},` +
		`{"ID":"103","Name":"","Category":"","PictureURL":"","Token":"","Tasks":null}]`
	if err != nil || show(got) != want || calls != 3 {
		t.Errorf("%d calls: %s %v", calls, show(got), err)
	}
}

func TestPagesThatGoRoundOrOnForeverEnd(t *testing.T) {
	calls := 0
	round := true
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v26.0/me/accounts" {
			_, _ = io.WriteString(w, `{"data":[]}`)
			return
		}
		calls++
		after := "same"
		if !round {
			after = strconv.Itoa(calls)
		}
		var pages []string
		for i := range 100 {
			pages = append(pages, fmt.Sprintf(`{"id":"%d"}`, calls*100+i))
		}
		_, _ = io.WriteString(w, `{"data":[`+strings.Join(pages, ",")+`],"paging":{"next":"x","cursors":{"after":"`+after+`"}}}`)
	})
	if got, err := c.LoginPages(context.Background(), token); err != nil || calls != 2 || len(got) != 200 {
		t.Errorf("%d pages in %d calls: %v", len(got), calls, err)
	}
	calls, round = 0, false
	if got, err := c.LoginPages(context.Background(), token); err != nil || calls != maxLoginPages/100 || len(got) != maxLoginPages {
		t.Errorf("%d pages in %d calls: %v", len(got), calls, err)
	}
}

func TestPagesOfPortfoliosAreAddedOnceAndOnlyMissedIfNotAllowed(t *testing.T) {
	broken := ""
	c := facebook(t, func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v26.0/")
		if path == broken {
			says(500, `{"error":{"code":2,"message":"m"}}`)(w, r)
			return
		}
		switch path {
		case "me/accounts":
			_, _ = io.WriteString(w, `{"data":[{"id":"101","access_token":"T1","tasks":["MANAGE"]}]}`)
		case "me/businesses":
			_, _ = io.WriteString(w, `{"data":[{"id":"9"},{"id":"8"}]}`)
		case "9/owned_pages":
			_, _ = io.WriteString(w, `{"data":[{"id":"101"},{"id":"102","name":"B"}]}`)
		case "9/client_pages":
			_, _ = io.WriteString(w, `{"data":[{"id":"102"},{"id":"103"}]}`)
		case "102":
			_, _ = io.WriteString(w, `{"id":"102","access_token":"T2"}`)
		default: // also the other portfolio, and the token of 103
			says(403, `{"error":{"code":200,"message":"m"}}`)(w, r)
		}
	})
	got, err := c.LoginPages(context.Background(), token)
	if err != nil || len(got) != 3 || got[0].Token != "T1" || got[1].Name != "B" || got[1].Token != "T2" || got[2].ID != "103" || got[2].Token != "" {
		t.Errorf("%+v %v", got, err)
	}
	for _, broken = range []string{"me/accounts", "me/businesses", "9/owned_pages", "102"} {
		if got, err := c.LoginPages(context.Background(), token); ClassOf(err) != ClassTransient || got != nil {
			t.Errorf("%s is broken: %+v %v", broken, got, err)
		}
	}
}

func TestWhatAPersonMayDoOnAPageFollowsFromTheirTasks(t *testing.T) {
	for tasks, want := range map[string]string{
		"MESSAGING": "m", "MODERATE": "s", "CREATE_CONTENT": "s", "MANAGE": "ms", "MESSAGING,MODERATE": "ms",
		"ANALYZE,ADVERTISE": "", "PROFILE_PLUS_MESSAGING": "m", "PROFILE_PLUS_MODERATE": "s", "PROFILE_PLUS_CREATE_CONTENT": "s",
		"PROFILE_PLUS_FULL_CONTROL": "ms", "PROFILE_PLUS_MANAGE": "ms", "FULL_CONTROL": "ms", "TELEPATHY": "",
		"TELEPATHY,MESSAGING": "m", "": "",
	} {
		p := LoginPage{Tasks: strings.Split(tasks, ",")}
		got := ""
		if p.CanMessage() {
			got += "m"
		}
		if p.CanSubscribe() {
			got += "s"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", tasks, got, want)
		}
	}
	if unknown := (LoginPage{}); !unknown.CanMessage() || !unknown.CanSubscribe() {
		t.Error("refused for tasks that Facebook did not name")
	}
}
