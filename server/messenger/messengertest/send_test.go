package messengertest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

func TestASentMessageComesBackAsEchoAndReceipt(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{AutoRead: true}})
	ann := w.page.AddPerson(messengertest.Person{})
	asked := ann.Writes("Hello?")
	got, err := w.says(ann, "Grüß dich 👋")
	w.must(err)
	events := w.settled()
	if kinds(events) != "message echo delivery read " {
		t.Fatal(kinds(events))
	}
	for _, e := range events {
		if e.Person != ann.ID || e.Page != "101" || !e.At.Equal(start) {
			t.Errorf("%+v", e)
		}
	}
	echo, delivery := events[1].Message, events[2].Delivery
	if events[0].Message.MID != asked || echo.MID != got.MessageID || echo.Text != "Grüß dich 👋" ||
		echo.Metadata != "our-Grüß dich 👋" || echo.AppID != "222" || delivery.MIDs[0] != got.MessageID {
		t.Errorf("%+v %+v", echo, delivery)
	}
	sent := w.sim.Sent()
	if len(sent) != 1 || sent[0].PSID != ann.ID || sent[0].MID != got.MessageID || got.RecipientID != ann.ID {
		t.Errorf("%+v", sent)
	}
}

func TestTheEchoCanArriveBeforeTheAnswer(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{EchoFirst: true}})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("Hello?")
	got, err := w.says(ann, "Hi")
	w.must(err)
	if events := w.receiver.events(); len(events) < 2 || events[1].Message.MID != got.MessageID {
		t.Error(kinds(events))
	}
}

func TestTheReplyWindowFollowsTheClock(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	human := messenger.SendText{PageID: "101", PSID: ann.ID, Text: "x", MessagingType: "MESSAGE_TAG", Tag: "HUMAN_AGENT"}
	class := func() (plain, tagged messenger.Class) {
		_, err := w.says(ann, "x")
		_, tagErr := w.client.SendText(w.ctx, w.page.Token, human)
		return messenger.ClassOf(err), messenger.ClassOf(tagErr)
	}
	expect := func(plain, tagged messenger.Class) {
		t.Helper()
		if p, h := class(); p != plain || h != tagged {
			t.Errorf("%s: plain %q, human agent %q", w.sim.Clock().Now(), p, h)
		}
	}
	expect(messenger.ClassWindowClosed, messenger.ClassWindowClosed) // never wrote
	ann.Writes("Hello")
	expect("", "")
	w.sim.Clock().Advance(24*time.Hour + time.Millisecond)
	expect(messenger.ClassWindowClosed, "")
	w.sim.Clock().Advance(6 * 24 * time.Hour)
	expect(messenger.ClassWindowClosed, messenger.ClassWindowClosed)
	ann.Reads()
	expect(messenger.ClassWindowClosed, messenger.ClassWindowClosed)
	ann.Reacts("m_1", "love", "❤️")
	expect("", "")
}

func TestTheSendAPIRefusesWhatFacebookRefuses(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann, bob := w.page.AddPerson(messengertest.Person{}), w.page.AddPerson(messengertest.Person{})
	elsewhere := w.sim.AddPage(messengertest.Page{ID: "102"}).AddPerson(messengertest.Person{})
	ann.Writes("x")
	bob.Writes("x")
	bob.Blocks()
	text := func(s string) map[string]any { return map[string]any{"text": s} }
	for name, c := range map[string]struct {
		send          messenger.Send
		code, subcode int
	}{
		"somebody else's person": {messenger.Send{PSID: elsewhere.ID, Message: text("x")}, 100, 2018001},
		"somebody who blocked":   {messenger.Send{PSID: bob.ID, Message: text("x")}, 551, 1545041},
		"too long":               {messenger.Send{PSID: ann.ID, Message: text(strings.Repeat("😀", 1001))}, 100, 0},
		"empty":                  {messenger.Send{PSID: ann.ID, Message: text("")}, 100, 0},
		"no object":              {messenger.Send{PSID: ann.ID, Message: "x"}, 100, 0},
		"metadata too long":      {messenger.Send{PSID: ann.ID, Message: map[string]any{"text": "x", "metadata": strings.Repeat("x", 1001)}}, 100, 0},
		"text with attachment":   {messenger.Send{PSID: ann.ID, Message: map[string]any{"text": "x", "attachment": map[string]any{}}}, 100, 0},
		"unknown type":           {messenger.Send{PSID: ann.ID, Message: text("x"), MessagingType: "PROMO"}, 100, 0},
		"a tag without its type": {messenger.Send{PSID: ann.ID, Message: text("x"), Tag: "HUMAN_AGENT"}, 100, 2018320},
		"a removed tag":          {messenger.Send{PSID: ann.ID, Message: text("x"), MessagingType: "MESSAGE_TAG", Tag: "ACCOUNT_UPDATE"}, 100, 0},
		"an unknown tag":         {messenger.Send{PSID: ann.ID, Message: text("x"), MessagingType: "MESSAGE_TAG", Tag: "X"}, 100, 2018320},
		"a page not the token's": {messenger.Send{PageID: "102", PSID: ann.ID, Message: text("x")}, 100, 33},
		"an unknown action":      {messenger.Send{PSID: ann.ID, SenderAction: "wave"}, 100, 0},
	} {
		_, err := w.client.Send(w.ctx, w.page.Token, c.send)
		var e *messenger.Error
		if !errors.As(err, &e) || e.Code != c.code || e.Subcode != c.subcode {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sent := w.sim.Sent(); len(sent) != 0 {
		t.Errorf("%+v", sent)
	}
	bob.Unblocks()
	_, err := w.says(bob, "x")
	w.must(err)
}

func TestActionsAndAttachmentsAreTaken(t *testing.T) {
	w := newWorld(t, messengertest.Options{Behaviour: messengertest.Behaviour{NoReceipts: true}})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("x")
	got, err := w.client.Send(w.ctx, w.page.Token, messenger.Send{PSID: ann.ID, SenderAction: "typing_on"})
	if err != nil || got != (messenger.SendResult{RecipientID: ann.ID}) {
		t.Errorf("%v %v", got, err)
	}
	_, err = w.client.Send(w.ctx, w.page.Token, messenger.Send{PSID: ann.ID, MessagingType: "RESPONSE", Message: map[string]any{
		"attachment": map[string]any{"type": "image", "payload": map[string]any{"url": "https://files/1.png"}}}})
	w.must(err)
	events := w.settled()
	if kinds(events) != "message echo " || events[1].Message.Attachments[0].URL != "https://files/1.png" {
		t.Errorf("%+v", events)
	}
}

func TestFaultsSpoilCallsAsLongAsAsked(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("x")
	for name, c := range map[string]struct {
		fault messengertest.Fault
		want  messenger.Class
		sent  int
	}{
		"password changed":        {messengertest.TokenFault(460), messenger.ClassToken, 0},
		"rate limit":              {messengertest.RateLimitFault(613, 5), messenger.ClassRateLimited, 0},
		"service unavailable":     {messengertest.Fault{Status: 500, Code: 2}, messenger.ClassTransient, 0},
		"another app's thread":    {messengertest.Fault{Code: 10, Subcode: 2018300}, messenger.ClassNotOwner, 0},
		"HTML before":             {messengertest.Fault{Mode: messengertest.HTML}, messenger.ClassUnconfirmed, 0},
		"HTML after":              {messengertest.Fault{Mode: messengertest.HTML, Accepted: true}, messenger.ClassUnconfirmed, 1},
		"truncated":               {messengertest.Fault{Mode: messengertest.Truncate, Accepted: true}, messenger.ClassUnconfirmed, 1},
		"hung up after":           {messengertest.Fault{Mode: messengertest.HangUp, Accepted: true}, messenger.ClassUnconfirmed, 1},
		"an error though it went": {messengertest.Fault{Code: 1, Accepted: true}, messenger.ClassTransient, 1},
	} {
		w.sim.Reset()
		c.fault.Path, c.fault.Method = "/messages", "POST"
		w.sim.Fail(c.fault)
		_, err := w.says(ann, "Hi")
		var e *messenger.Error
		if !errors.As(err, &e) || e.Class != c.want || c.want == messenger.ClassRateLimited && e.RetryAfter != 5*time.Minute {
			t.Errorf("%s: %v", name, err)
		}
		if got := len(w.sim.Sent()); got != c.sent {
			t.Errorf("%s: %d sent", name, got)
		}
		if _, err := w.says(ann, "Hi again"); err != nil {
			t.Errorf("%s: it struck twice: %v", name, err)
		}
	}
}

func TestSilenceAfterAcceptingStillBringsTheEcho(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("x")
	w.sim.Fail(messengertest.Fault{Path: "/messages", Mode: messengertest.Silence, Accepted: true})
	impatient := *w.client.HTTP
	impatient.Timeout = 200 * time.Millisecond
	w.client.HTTP = &impatient
	if _, err := w.says(ann, "Hi"); messenger.ClassOf(err) != messenger.ClassUnconfirmed {
		t.Errorf("%v", err)
	}
	if events := w.settled(); kinds(events) != "message echo delivery " || events[1].Message.Metadata != "our-Hi" {
		t.Error(kinds(events))
	}
}

func TestFaultsCanBeAimed(t *testing.T) {
	w := newWorld(t, messengertest.Options{})
	ann := w.page.AddPerson(messengertest.Person{})
	ann.Writes("x")
	w.sim.Fail(messengertest.Fault{Code: 2, Param: "poison", Times: -1})
	for text, want := range map[string]messenger.Class{"fine": "", "poison": messenger.ClassTransient, "a poison too": messenger.ClassTransient} {
		if _, err := w.says(ann, text); messenger.ClassOf(err) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
