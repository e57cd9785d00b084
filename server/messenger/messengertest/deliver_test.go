package messengertest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

func TestEverythingAPersonDoesIsDeliveredInOrder(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	mid := ann.Writes("Hi")
	ann.Replies(mid, "again")
	ann.TapsQuickReply("Red", "RED")
	ann.SendsImage("https://cdn/1.jpg")
	ann.SendsSticker(369239263222822, "https://cdn/2.png")
	ann.TapsButton("Start", "GO")
	ann.FollowsLink("campaign")
	ann.Reacts(mid, "love", "❤️")
	ann.Unreacts(mid)
	ann.Edits(mid, "Hello", 1)
	ann.Unsends(mid)
	ann.Reads()
	w.page.InboxReplies(ann, "from the inbox")
	events := w.settled()
	if got := kinds(events); got != "message message message message message postback referral reaction reaction message_edit message read echo " {
		t.Fatal(got)
	}
	if last := events[12].Message; last.AppID != messenger.PageInboxApp || last.Text != "from the inbox" || last.Metadata != "" {
		t.Errorf("%+v", last)
	}
	if !events[10].Message.Deleted || events[10].Message.MID != mid {
		t.Errorf("%+v", events[10].Message)
	}
}

func TestABodyIsEscapedAsFacebookEscapes(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{ID: "11"})
	mid := ann.Writes("Grüße 😀 </b> \"q\" \\ \n")
	w.settled()
	want := `{"object":"page","entry":[{"id":"101","time":1795341600000,"messaging":[{"sender":{"id":"11"},"recipient":{"id":"101"},` +
		`"timestamp":1795341600000,"message":{"mid":"` + mid + `","text":"Gr\u00fc\u00dfe \ud83d\ude00 <\/b> \"q\" \\ \n"}}]}]}`
	if got := w.receiver.posts()[0]; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestPostsCanBeBatchedGroupedRepeatedAndNumeric(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{Hold: true}})
	other := w.sim.AddPage(messengertest.Page{ID: "102"})
	other.Subscribe(w.app.ID, messenger.SubscribedFields()...)
	ann, bob := w.page.AddPerson(messengertest.Person{ID: "11"}), other.AddPerson(messengertest.Person{ID: "12"})
	for i := range 3 {
		ann.Writes(fmt.Sprint("a", i))
	}
	bob.Writes("b")
	w.page.Posts(`{"hologram":1}`)
	w.page.PostsStandby(`{"sender":{"id":"11"},"recipient":{"id":"101"},"message":{"mid":"m","text":"https:\/\/x\u00e4"}}`)
	w.page.PostsChanges(`{"field":"feed"}`)
	w.sim.Behave(messengertest.Behaviour{Batch: 100, Grouped: true, Repeat: 1, NumericIDs: true, Seconds: true})
	if got := kinds(w.settled()); got != strings.Repeat("message message message message unknown standby:message change ", 2) {
		t.Error(got)
	}
	posts := w.receiver.posts()
	if len(posts) != 2 || posts[0] != posts[1] {
		t.Fatalf("%d posts", len(posts))
	}
	var post struct{ Entry []struct{ ID json.Number } }
	w.must(json.Unmarshal([]byte(posts[0]), &post))
	if fmt.Sprint(post.Entry) != "[{101} {102} {101} {101} {101}]" || !strings.Contains(posts[0], `"timestamp":1795341600,`) {
		t.Errorf("%s", posts[0])
	}
}

func TestAShuffledQueueLosesNothing(t *testing.T) {
	w := newWorld(t, messengertest.Options{Seed: 1, Behaviour: messengertest.Behaviour{Hold: true}})
	ann := w.page.AddPerson(messengertest.Person{})
	var mids []string
	for range 50 {
		mids = append(mids, ann.Writes("x"))
	}
	w.sim.Behave(messengertest.Behaviour{Shuffle: true, Batch: 7})
	var got []string
	for _, e := range w.settled() {
		got = append(got, e.Message.MID)
	}
	if slices.Equal(got, mids) {
		t.Error("nothing was shuffled")
	}
	slices.Sort(got)
	slices.Sort(mids)
	if !slices.Equal(got, mids) {
		t.Error("something was lost")
	}
}

func TestOnlyFieldsOfBothLayersAreDelivered(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	w.page.Subscribe(w.app.ID, "messages", "message_reads")
	w.must(w.sim.SetCallback(w.ctx, w.app.ID, w.receiver.url, "verify", "messages", "message_reactions"))
	ann.Writes("x")
	ann.Reads()
	ann.Reacts("m", "love", "❤️")
	if got := kinds(w.settled()); got != "message " {
		t.Error(got)
	}
}

func TestEveryAppOfAPageHearsOfEverySend(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	bot := w.sim.AddApp(messengertest.App{ID: "111", Secret: "app-secret"})
	theirs := newReceiver(t)
	w.must(w.sim.SetCallback(w.ctx, bot.ID, theirs.url, "verify"))
	w.page.Subscribe(bot.ID, messenger.SubscribedFields()...)
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("x")
	_, err := w.client.SendText(w.ctx, w.page.NewToken(bot.ID), messenger.SendText{PSID: ann.ID, Text: "bot", MessagingType: "RESPONSE"})
	w.must(err)
	for _, events := range [][]messenger.Event{w.settled(), theirs.events()} {
		if kinds(events) != "message echo delivery " || events[1].Message.AppID != "111" {
			t.Error(kinds(events))
		}
	}
}

func TestAPostIsRepeatedUntilItIsTaken(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	refused := 0
	w.receiver.answering(func() int {
		if refused++; refused <= 5 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("1")
	ann.Writes("2")
	// Four attempts come at once; then the clock has to move.
	for _, attempts := range []int{4, 5} {
		w.must(w.sim.Wait(w.ctx, func() bool { return len(w.sim.Posts()) >= attempts }))
		w.sim.Clock().Advance(5 * time.Minute)
	}
	if got := kinds(w.settled()); got != "message message " {
		t.Error(got)
	}
	posts := w.sim.Posts()
	if len(posts) != 7 || posts[5].Attempt != 6 || posts[5].Status != 200 || posts[0].Status != 503 {
		t.Errorf("%d posts", len(posts))
	}
}

func TestAnHourOfFailuresUnsubscribesThePage(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	w.receiver.answering(func() int { return http.StatusInternalServerError })
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	w.must(w.sim.Wait(w.ctx, func() bool { return len(w.sim.Posts()) >= 4 }))
	w.sim.Clock().Advance(time.Hour)
	w.settled()
	if _, ok := w.page.Subscribed(w.app.ID); ok {
		t.Error("still subscribed")
	}
	if left, err := w.client.Subscribed(w.ctx, w.page.Token, "101"); err != nil || len(left) != 0 {
		t.Errorf("%v %v", left, err)
	}
}

func TestAPostThatIsAnsweredTooLateIsRepeated(t *testing.T) {
	w := newWorld(t, messengertest.Options{Retry: messengertest.Retry{Timeout: 50 * time.Millisecond}})
	hang, first := make(chan struct{}), true
	defer close(hang)
	w.receiver.answering(func() int {
		if first {
			first = false
			w.receiver.mu.Unlock()
			<-hang
			w.receiver.mu.Lock()
		}
		return http.StatusOK
	})
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	w.settled()
	if posts := w.sim.Posts(); len(posts) != 2 || posts[0].Status != 0 || posts[1].Status != 200 {
		t.Errorf("%+v", posts)
	}
}

func TestADelayPassesByTheClock(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{Delay: time.Hour}})
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	w.sim.Clock().Advance(59 * time.Minute)
	w.sim.Clock().Advance(time.Minute)
	w.settled()
	if posts := w.sim.Posts(); len(posts) != 1 || !posts[0].At.Equal(start.Add(time.Hour)) {
		t.Errorf("%+v", posts)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{Delay: time.Hour}})
	w.page.AddPerson(messengertest.Person{}).Writes("x")
	w.sim.Close()
	if err := w.sim.Settle(w.ctx); err == nil {
		t.Error("settled after all")
	}
}

func TestAnyBytesCanBePostedSigned(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	if status := w.sim.PostBody(w.ctx, w.app.ID, []byte(`{"object":"permissions"`)); status != 200 {
		t.Errorf("%d", status)
	}
	if posts := w.receiver.posts(); len(posts) != 1 || posts[0] != `{"object":"permissions"` {
		t.Errorf("%q", posts)
	}
}
