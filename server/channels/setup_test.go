package channels_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"parley/server/audit"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/fault"
	"parley/server/messenger/messengertest"
	"parley/server/settings"
)

// list is the check list in short.
func (w *world) list() string {
	w.Helper()
	s, err := w.channels.Setup(ctx)
	w.must(err)
	var said []string
	for _, p := range s.Preconditions {
		said = append(said, string(p.Status))
		if (p.Status == channels.SetupOpen) && p.Reason == "" || p.Status == channels.SetupDone && p.Reason != "" || len(p.Settings) == 0 {
			w.Errorf("%v", p)
		}
	}
	return fmt.Sprint(strings.Join(said, " "), ", ready ", s.Ready())
}

func (w *world) set(code settings.Code, value string) {
	w.Helper()
	v := settings.Value{Code: code}
	if value != "" {
		v.Value = &value
	}
	_, err := w.settings.Update(ctx, audit.Actor{}, settings.Change{Values: []settings.Value{v}})
	w.must(err)
}

func TestWhatIsMissingForAChannelIsListedAndAddingOneIsRefusedUntilItIsThere(t *testing.T) {
	onBoth(t, func(w *world) {
		refusedWith := func(words ...string) {
			w.Helper()
			_, byToken := w.channels.ConnectPage(ctx, audit.Actor{}, w.page.Token, false)
			_, byLogin := w.channels.StartLogin(ctx, ada, "", false)
			for name, err := range map[string]error{"by token": byToken, "by login": byLogin} {
				for _, word := range words {
					if fault.CodeOf(err) != fault.SetupIncomplete || !strings.Contains(err.Error(), word) {
						w.Errorf("%s: %v, without %q", name, err, word)
					}
				}
			}
		}
		if got := w.list(); got != "DONE DONE DONE DONE, ready true" {
			w.Fatal(got)
		}
		w.set(settings.SupportContact, "Ada, +1 555")
		w.set(settings.IdentityServerURL, "")
		w.set(settings.FacebookAppSecret, "")
		if got := w.list(); got != "OPEN UNKNOWN OPEN UNKNOWN, ready false" {
			w.Error(got)
		}
		refusedWith("IdentityServerUrl", "FacebookAppSecret", "Ada, +1 555")
		w.set(settings.FacebookAppSecret, appSecret)
		w.set(settings.IdentityServerURL, "https://id.test")
		w.identity = &auth.IdentityFailure{Step: auth.StepToken, Reason: "The identity server is not in the mood."}
		if got := w.list(); got != "DONE OPEN DONE DONE, ready false" {
			w.Error(got)
		}
		refusedWith("not in the mood")
		w.identity = nil
		w.graph.Fail(messengertest.Fault{Method: http.MethodGet, Path: appID, Code: 190, Times: -1})
		if got := w.list(); got != "DONE DONE DONE OPEN, ready false" {
			w.Error(got)
		}
		w.graph.Reset()
		w.graph.Fail(messengertest.Fault{Method: http.MethodGet, Path: appID, Mode: messengertest.HangUp, Times: -1})
		if got := w.list(); got != "DONE DONE DONE UNKNOWN, ready true" {
			w.Error(got)
		}
		w.graph.Reset()
		w.connect(w.page.Token)
	})
}
