package channels_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"parley/ent/channel"
	"parley/server/channels"
	"parley/server/messenger/messengertest"
)

// callbacks serves what Facebook posts to, and has the simulated app post there.
func (w *world) callbacks() (base string) {
	w.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+channels.DeauthorizePath, w.channels.Deauthorize)
	mux.HandleFunc("POST "+channels.DeletionPath, w.channels.DeleteData)
	mux.HandleFunc("GET "+channels.DeletionPath, w.channels.DeletionStatus)
	server := httptest.NewServer(mux)
	w.Cleanup(server.Close)
	w.graph.Configure(appID, func(a *messengertest.App) {
		a.DeauthorizeURL, a.DeletionURL = server.URL+channels.DeauthorizePath, server.URL+channels.DeletionPath
	})
	return server.URL
}

// connectedBy is the world's page, and a second one that somebody else connected.
func (w *world) connectedBy(mia *messengertest.User) {
	w.Helper()
	other := w.graph.AddPage(messengertest.Page{ID: "2000", Name: "Of Noa"})
	for user, page := range map[*messengertest.User]*messengertest.Page{mia: w.page, w.person("Noa", other): other} {
		s := w.start(ada)
		w.continues(user, s, messengertest.Choice{All: true})
		results, err := w.channels.ConnectPages(ctx, ada, s.Login.GlobalID(), []string{page.ID}, false)
		w.must(err)
		w.must(results[0].Err)
	}
}

func (w *world) states() map[string]channel.State {
	w.Helper()
	states := map[string]channel.State{}
	for _, ch := range w.store.Client().Channel.Query().AllX(ctx) {
		states[ch.Name] = ch.State
		if (ch.State == channel.StateConnected) != (len(ch.Token) > 0 && ch.LoginUser != "") {
			w.Errorf("%s: %s, a token of %d bytes of %q", ch.Name, ch.State, len(ch.Token), ch.LoginUser)
		}
	}
	return states
}

func TestWhoRemovesTheAppTakesTheirPagesTokensAlongAndNobodyElses(t *testing.T) {
	onBoth(t, func(w *world) {
		mia := w.person("Mia", w.page)
		w.callbacks()
		w.connectedBy(mia)
		mia.RemovesApp(appID)
		w.must(w.graph.Settle(ctx))
		w.await("the page must be connected again", func() bool { return w.states()[w.page.Name] == channel.StateReauthorizationRequired })
		if s := w.states()["Of Noa"]; s != channel.StateConnected {
			w.Errorf("the other page is %s", s)
		}
		if n := w.store.Client().FacebookLogin.Query().CountX(ctx); n != 1 {
			w.Errorf("%d logins are left", n)
		}
		w.continues(mia, w.start(ada), messengertest.Choice{All: true})
		if ch := w.connect(w.page.NewToken(appID)); ch.State != channel.StateConnected {
			w.Errorf("connected again it is %s", ch.State)
		}
	})
}

func TestWhoseDataIsDeletedLeavesNothingAndIsToldSo(t *testing.T) {
	onBoth(t, func(w *world) {
		mia := w.person("Mia", w.page)
		base := w.callbacks()
		w.connectedBy(mia)
		if !strings.Contains(w.dump(), mia.ID) || !strings.Contains(w.dump(), "Mia") {
			w.Fatal("nothing of hers was there")
		}
		answer, err := mia.AsksDeletion(ctx, appID)
		w.must(err)
		if answer.ConfirmationCode == "" || !strings.HasPrefix(answer.URL, "http://parley.test/desk"+channels.DeletionPath) {
			w.Fatalf("%+v", answer)
		}
		if dump := w.dump(); strings.Contains(dump, mia.ID) || strings.Contains(dump, "Mia") || strings.Contains(dump, answer.ConfirmationCode) {
			w.Error("something of hers is left")
		}
		if states := w.states(); states[w.page.Name] != channel.StateReauthorizationRequired || states["Of Noa"] != channel.StateConnected {
			w.Errorf("%v", states)
		}
		u, err := url.Parse(answer.URL)
		w.must(err)
		for query, want := range map[string]int{u.RawQuery: http.StatusOK, "id=guess": http.StatusNotFound, "": http.StatusNotFound} {
			page, err := http.Get(base + channels.DeletionPath + "?" + query)
			w.must(err)
			page.Body.Close()
			if page.StatusCode != want {
				w.Errorf("%s: %d", query, page.StatusCode)
			}
		}
	})
}

func TestOnlyFacebookRevokes(t *testing.T) {
	onBoth(t, func(w *world) {
		mia := w.person("Mia", w.page)
		base := w.callbacks()
		w.connectedBy(mia)
		for _, path := range []string{channels.DeauthorizePath, channels.DeletionPath} {
			for _, signed := range []string{"", "x", "x.y", strings.Repeat("x", 20_000),
				"AAAA.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsInVzZXJfaWQiOiIxIn0"} {
				answer, err := http.PostForm(base+path, url.Values{"signed_request": {signed}})
				w.must(err)
				answer.Body.Close()
				if answer.StatusCode != http.StatusBadRequest {
					w.Errorf("%s %.20s: %d", path, signed, answer.StatusCode)
				}
			}
		}
		if s := w.states()[w.page.Name]; s != channel.StateConnected {
			w.Errorf("%s", s)
		}
	})
}
