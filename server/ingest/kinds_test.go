package ingest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/ent/webhookevent"
	"parley/server/globalid"
	"parley/server/ingest"
	"parley/server/messenger/messengertest"
)

const (
	pending  = webhookevent.StatePending
	applied  = webhookevent.StateApplied
	ignored  = webhookevent.StateIgnored
	parked   = webhookevent.StateParked
	unrouted = webhookevent.StateUnrouted
)

// item is an element of "messaging" with the event that is given.
func item(person, event string) string {
	return fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":"1000"},"timestamp":1795000000123,%s}`, person, event)
}

// kinds are the payloads of the webhook reference, one post each, and what
// becomes of their items. Slashes and what is not ASCII are escaped as Facebook
// escapes them.
var kinds = []struct {
	name, body string
	become     []webhookevent.State
}{
	{"a text", envelope(item("a", `"message":{"mid":"m_a","text":"H\u00e4llo <\/b> \ud83d\ude00"}`)), one(applied)},
	{"an old mid", envelope(item("a", `"message":{"mid":"mid.1457764197618:41d102a3e1ae206a38","seq":73,"text":"x"}`)), one(applied)},
	{"a quick reply", envelope(item("b", `"message":{"mid":"m_b","text":"Red","quick_reply":{"payload":"PICK_RED"}}`)), one(applied)},
	{"a reply", envelope(item("c", `"message":{"mid":"m_c","text":"yes","reply_to":{"mid":"m_prev","is_self_reply":false}}`)), one(applied)},
	{"a picture", envelope(item("d", `"message":{"mid":"m_d","attachments":[{"type":"image","payload":{"url":"https:\/\/scontent.xx.fbcdn.net\/a.jpg"}}]}`)), one(applied)},
	{"several files", envelope(item("d", `"message":{"mid":"m_d2","attachments":[{"type":"video","payload":{"url":"u"}},{"type":"audio","payload":{"url":"u"}},{"type":"file","payload":{"url":"u"}}]}`)), one(applied)},
	{"a sticker", envelope(item("d", `"message":{"mid":"m_d3","attachments":[{"type":"sticker","payload":{"url":"u","sticker_id":369239263222822}}]}`)), one(applied)},
	{"an old sticker", envelope(item("d", `"message":{"mid":"m_d4","sticker_id":369239263222822,"attachments":[{"type":"image","payload":{"url":"u","sticker_id":369239263222822}}]}`)), one(applied)},
	{"a reel", envelope(item("d", `"message":{"mid":"m_d5","attachments":[{"type":"ig_reel","payload":{"url":"\/reel\/1","title":"t","reel_video_id":5}}]}`)), one(applied)},
	{"a fallback", envelope(item("d", `"message":{"mid":"m_d6","text":"http:\/\/x","attachments":[{"title":"t","url":"u","type":"fallback","payload":null}]}`)), one(applied)},
	{"a location", envelope(item("d", `"message":{"mid":"m_d7","attachments":[{"title":"t","url":"u","type":"location","payload":{"coordinates":{"lat":1.2,"long":3.4}}}]}`)), one(applied)},
	{"a template", envelope(item("d", `"message":{"mid":"m_d8","attachments":[{"type":"template","payload":{"product":{"elements":[{"id":"1","title":"t"}]}}}]}`)), one(applied)},
	{"an appointment", envelope(item("d", `"message":{"mid":"m_d9","attachments":[{"type":"appointment_booking","payload":{"booking_id":"1","status":"requested"}}]}`)), one(applied)},
	{"an attachment of later times", envelope(item("d", `"message":{"mid":"m_d10","attachments":[{"type":"hologram","payload":[1,2]},"x",7,null]}`)), one(applied)},
	{"an advertisement", envelope(item("d", `"message":{"mid":"m_d11","text":"x","referral":{"ref":"r","source":"ADS","type":"OPEN_THREAD","ad_id":"1","ads_context_data":{"ad_title":"t"}}}`)), one(applied)},
	{"a command", envelope(item("d", `"message":{"mid":"m_d12","text":"x","commands":[{"name":"flights"}],"nlp":{"entities":{}}}`)), one(applied)},
	{"an order", envelope(item("d", `"message":{"mid":"m_d13","order":{"products":[{"id":"1","unit_price":1.5}],"note":"n"}}`)), one(applied)},
	{"an unsupported message", envelope(item("d", `"message":{"mid":"m_d14","is_unsupported":true}`)), one(applied)},
	{"an unsent message", envelope(item("d", `"message":{"mid":"m_d","is_deleted":true}`)), one(ignored)},
	{"a message with prior_message", envelope(item("d", `"message":{"mid":"m_d15","text":"x"},"prior_message":{"source":"checkbox_plugin","identifier":"i"}`)), one(applied)},
	{"an echo of another app", envelope(`{"sender":{"id":"1000"},"recipient":{"id":"a"},"timestamp":1795000001000,"message":{"is_echo":true,"app_id":999,"mid":"m_e","text":"Hi"}}`), one(applied)},
	{"an echo without app", envelope(`{"sender":{"id":"1000"},"recipient":{"id":"a"},"timestamp":1795000001000,"message":{"is_echo":true,"mid":"m_e2","attachments":[{"type":"template","payload":{"template_type":"generic","elements":[{"title":"t","attachment_id":5}]}}]}}`), one(applied)},
	{"an echo to a stranger", envelope(`{"sender":{"id":"1000"},"recipient":{"id":"stranger"},"timestamp":1795000001000,"message":{"is_echo":true,"mid":"m_e3","text":"Hi"}}`), one(ignored)},
	{"a delivery", envelope(`{"sender":{"id":"a"},"recipient":{"id":"1000"},"delivery":{"mids":["m_e"],"watermark":1795000002000,"seq":3}}`), one(applied)},
	{"a read", envelope(item("a", `"read":{"watermark":1795000003000}`)), one(applied)},
	{"a read of a stranger", envelope(item("stranger", `"read":{"watermark":1795000003000}`)), one(ignored)},
	{"a reaction", envelope(item("a", `"reaction":{"reaction":"love","emoji":"\u2764\ufe0f","action":"react","mid":"m_e"}`)), one(ignored)},
	{"no reaction any more", envelope(item("a", `"reaction":{"action":"unreact","mid":"m_e"}`)), one(ignored)},
	{"an edit", envelope(item("a", `"message_edit":{"mid":"m_a","text":"new","num_edit":"1"}`)), one(ignored)},
	{"a postback", envelope(item("a", `"postback":{"mid":"m_p","title":"Get Started","payload":"GET_STARTED","referral":{"ref":"r","source":"SHORTLINK","type":"OPEN_THREAD"}}`)), one(ignored)},
	{"a referral", envelope(item("a", `"referral":{"ref":"campaign","source":"SHORTLINK","type":"OPEN_THREAD"}`)), one(ignored)},
	{"an opt-in of a plug-in", envelope(`{"sender":{"user_ref":"u"},"recipient":{"id":"1000"},"timestamp":1795000000123,"optin":{"ref":"PASS","user_ref":"u"}}`), one(ignored)},
	{"an opt-in to a topic", envelope(item("a", `"optin":{"type":"notification_messages","payload":"p","notification_messages_token":"t","token_expiry_timestamp":2145916800000,"notification_messages_status":"STOP_NOTIFICATIONS"}`)), one(ignored)},
	{"a linked account", envelope(item("a", `"account_linking":{"status":"linked","authorization_code":"c"}`)), one(ignored)},
	{"a policy", envelope(`{"recipient":{"id":"1000"},"timestamp":1795000000123,"policy_enforcement":{"action":"warning","reason":"r"}}`), one(ignored)},
	{"an old policy", envelope(`{"recipient":{"id":"1000"},"timestamp":1795000000123,"policy-enforcement":{"action":"block"}}`), one(applied)},
	{"a pass", envelope(item("a", `"pass_thread_control":{"previous_owner_app_id":null,"new_owner_app_id":222,"metadata":"m"}`)), one(ignored)},
	{"a take", envelope(item("a", `"take_thread_control":{"previous_owner_app_id":"222","new_owner_app_id":"111","metadata":null}`)), one(ignored)},
	{"a request", envelope(item("a", `"request_thread_control":{"requested_owner_app_id":222}`)), one(ignored)},
	{"roles", envelope(`{"recipient":{"id":"1000"},"timestamp":1795000000123,"app_roles":{"222":["secondary_receiver"]}}`), one(ignored)},
	{"feedback", envelope(item("a", `"response_feedback":{"feedback":"Good response","mid":"m_e"}`)), one(ignored)},
	{"a survey", envelope(item("a", `"messaging_feedback":{"feedback_screens":[{"screen_id":0,"questions":{"q1":{"type":"csat","payload":"4"}}}]}`)), one(ignored)},
	{"a game", envelope(item("a", `"game_play":{"game_id":"1"}`)), one(ignored)},
	{"labels", `{"object":"page","entry":[{"id":"1000","time":1795000000456,"changes":[{"field":"inbox_labels","value":{"user":{"id":"a"},"action":"add"}},{"field":"feed","value":{}}]}]}`, many(ignored, 2)},
	{"standby", `{"object":"page","entry":[{"id":"1000","time":1795000000456,"standby":[` + item("a", `"message":{"mid":"m_s","text":"to the bot"}`) + `,` + item("a", `"postback":{"title":"Get Started"}`) + `]}]}`, many(ignored, 2)},
	{"both arrays in one entry", `{"object":"page","entry":[{"id":"1000","time":1795000000456,"messaging":[` + item("a", `"message":{"mid":"m_both","text":"to us"}`) + `],"standby":[` + item("a", `"message":{"mid":"m_both2","text":"to the bot"}`) + `]}]}`, []webhookevent.State{applied, ignored}},
	{"several pages", `{"object":"page","entry":[{"id":"1000","messaging":[` + item("a", `"message":{"mid":"m_page","text":"x"}`) + `]},{"id":"2000","messaging":[{"sender":{"id":"a"},"recipient":{"id":"2000"},"message":{"mid":"m_page","text":"x"}}]}]}`, []webhookevent.State{applied, unrouted}},
	{"ids as numbers", `{"object":"page","entry":[{"id":1000,"time":1795000000456,"messaging":[{"sender":{"id":2345678901234567},"recipient":{"id":1000},"timestamp":1795000000123,"message":{"mid":12345678901234567890,"text":"x"}}]}]}`, one(applied)},
	{"seconds", envelope(`{"sender":{"id":"a"},"recipient":{"id":"1000"},"timestamp":1795000000,"message":{"mid":"m_seconds","text":"x"}}`), one(applied)},
	{"no time at all", `{"object":"page","entry":[{"id":"1000","messaging":[{"sender":{"id":"a"},"recipient":{"id":"1000"},"message":{"mid":"m_timeless","text":"x"}}]}]}`, one(applied)},
	{"no mid", envelope(item("a", `"message":{"text":"x"}`)), one(parked)},
	{"nobody", envelope(`{"recipient":{"id":"1000"},"message":{"mid":"m_n","text":"x"}}`), one(parked)},
	{"between others", envelope(`{"sender":{"id":"a"},"recipient":{"id":"b"},"message":{"mid":"m_o","text":"x"}}`), one(parked)},
	{"a read without watermark", envelope(item("a", `"read":{}`)), one(parked)},
	{"an element that is none", envelope(`"x"`, `7`, `null`, `[]`), many(parked, 4)},
	{"the console's test", `{"object":"page","entry":[{"messaging":[{"message":"TEST_MESSAGE"}]}]}`, one(ignored)},
	{"an entry without events", `{"object":"page","entry":[{"id":"1000","time":5}]}`, one(ignored)},
	{"no entries", `{"object":"page","entry":[]}`, one(ignored)},
	{"a permission", `{"object":"permissions","entry":[{"id":"9","uid":"9","time":1567635588,"changes":[{"field":"pages_messaging","value":{"verb":"revoked","target_ids":["1000"]}}]}]}`, one(applied)},
	{"another object", `{"object":"instagram","entry":[{"id":"1000","messaging":[{"sender":{"id":"a"},"recipient":{"id":"1000"},"message":{"mid":"m_ig","text":"x"}}]}]}`, one(ignored)},
	{"an empty object", `{}`, one(ignored)},
	{"no JSON", `<html>`, one(parked)},
	{"nothing", ``, one(parked)},
	{"binary", "\x00\xff\xfe", one(parked)},
	{"a page of any length", `{"object":"page","entry":[{"id":"` + pseudo(9000) + `","messaging":[{"sender":{"id":"a"},"recipient":{"id":"1"},"read":{"watermark":5}}]}]}`, one(unrouted)},
	{"a deep one", strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000), one(parked)},
}

func one(s webhookevent.State) []webhookevent.State { return []webhookevent.State{s} }

func many(s webhookevent.State, n int) (all []webhookevent.State) {
	for range n {
		all = append(all, s)
	}
	return all
}

// pseudo is text that does not compress.
func pseudo(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		fmt.Fprintf(&b, "%08x", x)
	}
	return b.String()[:n]
}

func TestEveryKindOfPayloadIsStoredAndEndsWhereItBelongs(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		r.connect()
		for _, kind := range kinds {
			before, appliedBefore := w.number("SELECT COALESCE(MAX(id), 0) FROM webhook_events"), appliedBy(r)
			if status := r.post(kind.body); status != http.StatusOK {
				w.Errorf("%s: %d", kind.name, status)
				continue
			}
			w.drained()
			rows, err := w.store.Client().WebhookEvent.Query().Where(webhookevent.IDGT(int64(before))).Order(webhookevent.ByID()).All(ctx)
			w.must(err)
			become := many(applied, appliedBy(r)-appliedBefore)
			for _, row := range rows {
				become = append(become, row.State)
				if (row.State == parked) == (row.Error == "") {
					w.Errorf("%s: %s with error %q", kind.name, row.State, row.Error)
				}
			}
			slices.Sort(become) // different people have no order
			slices.Sort(kind.become)
			if !slices.Equal(become, kind.become) {
				w.Errorf("%s: %v, want %v; %v", kind.name, become, kind.become, rows)
			}
		}
		w.must(w.graph.Settle(ctx))
		if got := w.texts("a"); len(got) == 0 || !contains(got, "Hällo </b> 😀") || !contains(got, "Hi") || contains(got, "to the bot") {
			w.Errorf("a's messages: %q", got)
		}
		if strings.Contains(r.logged.String(), "level=ERROR") {
			w.Errorf("the log says %s", r.logged)
		}
	})
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

func TestWhateverWayFacebookDeliversAConversationIsStoredOnce(t *testing.T) {
	for name, how := range map[string]messengertest.Behaviour{
		"plain":       {},
		"in batches":  {Batch: 7},
		"grouped":     {Batch: 50, Grouped: true},
		"repeated":    {Repeat: 2, Batch: 3},
		"shuffled":    {Shuffle: true, Batch: 4},
		"numeric ids": {NumericIDs: true},
		"in seconds":  {Seconds: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(w *world) {
				r := w.replica(w.store)
				r.subscribe()
				r.connect()
				ann := w.page.AddPerson(messengertest.Person{})
				// There is a chat already: an echo that overtakes the very first message
				// has none to go to, and is kept as ignored.
				want := []string{"the first one"}
				ann.Writes(want[0])
				w.clock.Advance(time.Second)
				w.must(w.graph.Settle(ctx))
				w.drained()
				how := how
				how.Hold = true
				w.graph.Behave(how)
				for i := range 20 {
					want = append(want, fmt.Sprintf("%d ä/\u2028\"\\ 😀", i))
					ann.Writes(want[i+1])
					w.clock.Advance(time.Second) // the simulator's milliseconds may be all the same else
				}
				mid := ann.SendsImage("https://scontent.xx.fbcdn.net/x.jpg")
				w.clock.Advance(time.Second)
				ann.Reacts(mid, "love", "\u2764\ufe0f")
				w.page.InboxReplies(ann, "from the inbox")
				how.Hold = false
				w.graph.Behave(how)
				w.must(w.graph.Settle(ctx))
				w.drained()
				got := w.texts(ann.ID)
				if !slices.Equal(got, append(want, "", "from the inbox")) {
					w.Errorf("%q", got)
				}
				if n := w.events()[parked]; n > 0 {
					w.Errorf("%d are parked", n)
				}
			})
		})
	}
}

func TestOneBadItemAmongAThousandIsParkedAndReplayedAlone(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		r.connect()
		heal := w.spoil("INSERT ON messages", "NEW.text = 'poison'")
		items := make([]string, 1000)
		for i := range items {
			items[i] = item(fmt.Sprintf("p%d", i%40), fmt.Sprintf(`"message":{"mid":"m_%d\u0000","text":"\u0000\ud83d caf\u00e9 %d \ude00"}`, i, i))
		}
		items[500] = item("p20", `"message":{"mid":"m_poison","text":"poison"}`)
		if status := r.post(envelope(items...)); status != http.StatusOK {
			w.Fatal(status)
		}
		w.drained()
		if got := w.events(); appliedBy(r)+got[applied] != 999 || got[parked] != 1 {
			w.Fatalf("%v, %d applied at once", got, appliedBy(r))
		}
		state := parked
		list, err := r.inbox.Events(ctx, noPaging, &state)
		w.must(err)
		if len(list.Nodes) != 1 || !strings.Contains(list.Nodes[0].Error, "spoilt by the test") || !strings.Contains(string(list.Nodes[0].Body), "m_poison") {
			w.Fatalf("%+v", list.Nodes)
		}
		if got := w.texts("p0"); len(got) != 25 || got[0] != "\ufffd café 0 \ufffd" {
			w.Errorf("p0: %d %q", len(got), got)
		}

		// In vain as long as it is as it was.
		_, err = r.inbox.Replay(ctx, globalid.OfNumber(ingest.Kind, list.Nodes[0].ID))
		w.must(err)
		w.drained()
		if got := w.events(); got[parked] != 1 {
			w.Fatalf("replayed in vain: %v", got)
		}
		heal()
		_, err = r.inbox.Replay(ctx, globalid.OfNumber(ingest.Kind, list.Nodes[0].ID))
		w.must(err)
		w.drained()
		if got := w.events(); appliedBy(r)+got[applied] != 1000 || !contains(w.texts("p20"), "poison") {
			w.Errorf("replayed: %v", got)
		}
		stored, err := w.store.Client().WebhookEvent.Get(ctx, list.Nodes[0].ID)
		w.must(err)
		if stored.Error != "" {
			w.Errorf("its error stays: %q", stored.Error)
		}
		if _, err := r.inbox.Replay(ctx, globalid.OfNumber(ingest.Kind, list.Nodes[0].ID)); err == nil {
			w.Error("one that was applied can be replayed")
		}
	})
}
