package graph_test

import (
	"net/http"
	"strings"
	"testing"

	"parley/server/app/apptest"
	"parley/server/messenger/messengertest"
)

func TestAnAdministratorLogsInToFacebookAndConnectsPages(t *testing.T) {
	apptest.Each(t, apptest.Options{}, func(t *testing.T, w *world) {
		mia := w.Facebook.AddUser(messengertest.User{Name: "Mia"})
		for id, role := range map[string]messengertest.Role{"2000": {}, "2001": {}, "2002": {Tasks: []string{"ANALYZE"}}} {
			mia.Manages(w.Facebook.AddPage(messengertest.Page{ID: id, Name: "Page " + id}), role)
		}
		started := w.Admin.Must(`mutation { startFacebookLogin(input: {}) { url login { id status pages { id } } userErrors { code message } } }`, nil)
		id := started.String("startFacebookLogin.login.id")
		if started.Get("startFacebookLogin.login.status") != "STARTED" || len(started.List("startFacebookLogin.login.pages")) != 0 {
			t.Errorf("%v", started.Data)
		}
		back, err := mia.Continues(started.String("startFacebookLogin.url"), messengertest.Choice{All: true})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Get(strings.Replace(back, "http://parley.test", w.URL, 1))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		const query = `query($id: ID!) { facebookLogin(id: $id) { status reason userName pages { id name selectable obstacle reason channel { id } } } }`
		login := w.Admin.Must(query, vars{"id": id})
		if login.Get("facebookLogin.status") != "COMPLETED" || login.Get("facebookLogin.userName") != "Mia" || login.Get("facebookLogin.reason") != nil {
			t.Errorf("%v", login.Data)
		}
		selectable := map[string]any{}
		for _, p := range login.List("facebookLogin.pages") {
			selectable[apptest.Get(p, "id").(string)] = apptest.Get(p, "selectable")
			if (apptest.Get(p, "obstacle") == nil) != (apptest.Get(p, "reason") == nil) {
				t.Errorf("%v", p)
			}
		}
		if len(selectable) != 3 || selectable["2000"] != true || selectable["2001"] != true || selectable["2002"] != false {
			t.Errorf("%v", selectable)
		}
		if other := w.Add("Eve", "ADMIN").Must(query, vars{"id": id}); other.Get("facebookLogin") != nil {
			t.Errorf("another administrator sees %v", other.Data)
		}
		connected := w.Admin.Must(`mutation($id: ID!) { connectFacebookPages(input: {loginId: $id, pageIds: ["2000", "2001", "2002"]}) {
			results { pageId channel { name active queue { id } state } userErrors { code field } } userErrors { code } } }`, vars{"id": id})
		for i, want := range []string{"Page 2000", "Page 2001", ""} {
			result := connected.List("connectFacebookPages.results")[i]
			if want == "" {
				if apptest.Get(result, "channel") != nil || apptest.Get(result, "userErrors.0.code") != "REFUSED" {
					t.Errorf("%v", result)
				}
				continue
			}
			if apptest.Get(result, "channel.name") != want || apptest.Get(result, "channel.active") != false || apptest.Get(result, "channel.state") != "CONNECTED" {
				t.Errorf("%v", result)
			}
		}
		if n := len(w.Admin.Must(`{ channels { nodes { id } } }`, nil).List("channels.nodes")); n != 3 {
			t.Errorf("%d channels", n)
		}
	})
}
