package messenger

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var at = time.UnixMilli(1795000000123).UTC()

// envelope puts the event part of an item into a post, as the webhook reference prints it.
func envelope(event string) []byte {
	return []byte(`{"object":"page","entry":[{"id":"1","time":1795000000456,"messaging":[` +
		`{"sender":{"id":"11"},"recipient":{"id":"1"},"timestamp":1795000000123,` + event + `}]}]}`)
}

func TestDecodeReadsEveryKind(t *testing.T) {
	referral := &Referral{Ref: "r", Source: "ADS", Type: "OPEN_THREAD", AdID: "6045", AdTitle: "Sale"}
	const referralJSON = `{"ref":"r","source":"ADS","type":"OPEN_THREAD","ad_id":6045,"ads_context_data":{"ad_title":"Sale"}}`
	message := func(m Message) Event { return Event{Kind: KindMessage, Message: &m} }
	for event, want := range map[string]Event{
		`"message":{"mid":"m_1","text":"Hello"}`:                                            message(Message{MID: "m_1", Text: "Hello"}),
		`"message":{"mid":"mid.$cAA:1","text":"x","seq":3,"nlp":{},"commands":[{}]}`:        message(Message{MID: "mid.$cAA:1", Text: "x"}),
		`"message":{"mid":"m_1","text":"Red","quick_reply":{"payload":"PICK_RED"}}`:         message(Message{MID: "m_1", Text: "Red", QuickReplyPayload: "PICK_RED"}),
		`"message":{"mid":"m_1","text":"y","reply_to":{"mid":"m_0","is_self_reply":false}}`: message(Message{MID: "m_1", Text: "y", ReplyTo: "m_0"}),
		`"message":{"mid":"m_1","is_deleted":true}`:                                         message(Message{MID: "m_1", Deleted: true}),
		`"message":{"mid":"m_1","is_unsupported":true}`:                                     message(Message{MID: "m_1", Unsupported: true}),
		`"message":{"mid":"m_1","text":"x","referral":` + referralJSON + `}`:                message(Message{MID: "m_1", Text: "x", Referral: referral}),
		`"message":{"mid":"m_1","text":"x","referral":{"product":{"id":"77"}}}`:             message(Message{MID: "m_1", Text: "x", Referral: &Referral{ProductID: "77"}}),
		`"message":{"mid":"m_1","text":"a\u0000b\ud800c \ud83d\ude00"}`:                     message(Message{MID: "m_1", Text: "ab\ufffdc 😀"}),
		`"message":{"mid":"m_1","text":["?"],"reply_to":7,"attachments":{}}`:                message(Message{MID: "m_1"}),

		`"delivery":{"mids":["m_1","m_2"],"watermark":1795000000123,"seq":9}`:                            {Kind: KindDelivery, Delivery: &Delivery{[]string{"m_1", "m_2"}, at}},
		`"delivery":{"watermark":1795000000}`:                                                            {Kind: KindDelivery, Delivery: &Delivery{nil, time.Unix(1795000000, 0).UTC()}},
		`"read":{"watermark":"1795000000123"}`:                                                           {Kind: KindRead, Read: &Read{at}},
		`"reaction":{"reaction":"love","emoji":"\u2764\ufe0f","action":"react","mid":"m_1"}`:             {Kind: KindReaction, Reaction: &Reaction{"m_1", "love", "❤️", false}},
		`"reaction":{"action":"unreact","mid":"m_1"}`:                                                    {Kind: KindReaction, Reaction: &Reaction{"m_1", "", "", true}},
		`"message_edit":{"mid":"m_1","text":"new","num_edit":"2"}`:                                       {Kind: KindEdit, Edit: &Edit{"m_1", "new", 2}},
		`"postback":{"mid":"m_1","title":"Get Started","payload":"GO","referral":` + referralJSON + `}`:  {Kind: KindPostback, Postback: &Postback{"m_1", "Get Started", "GO", referral}},
		`"postback":{"title":"Get Started"}`:                                                             {Kind: KindPostback, Postback: &Postback{Title: "Get Started"}},
		`"referral":` + referralJSON:                                                                     {Kind: KindReferral, Referral: referral},
		`"optin":{"ref":"PASS","user_ref":"U"}`:                                                          {Kind: KindOptin, Optin: &Optin{Ref: "PASS", UserRef: "U"}},
		`"optin":{"type":"one_time_notif_req","one_time_notif_token":"T","payload":"P"}`:                 {Kind: KindOptin, Optin: &Optin{Type: "one_time_notif_req", Token: "T", Payload: "P"}},
		`"account_linking":{"status":"linked","authorization_code":"C"}`:                                 {Kind: KindAccountLinking, Linking: &AccountLinking{true, "C"}},
		`"account_linking":{"status":"unlinked"}`:                                                        {Kind: KindAccountLinking, Linking: &AccountLinking{}},
		`"pass_thread_control":{"previous_owner_app_id":null,"new_owner_app_id":222,"metadata":"why"}`:   {Kind: KindPassThread, Control: &ThreadControl{NewOwner: "222", Metadata: "why"}},
		`"take_thread_control":{"previous_owner_app_id":"222","new_owner_app_id":"111","metadata":null}`: {Kind: KindTakeThread, Control: &ThreadControl{PreviousOwner: "222", NewOwner: "111"}},
		`"request_thread_control":{"requested_owner_app_id":222}`:                                        {Kind: KindRequestThread, Control: &ThreadControl{RequestedOwner: "222"}},
		`"response_feedback":{"feedback":"Good response","mid":"m_1"}`:                                   {Kind: KindUnknown},
		`"message":"TEST_MESSAGE"`:                                                                       {Kind: KindUnknown},
	} {
		want.Object, want.Page, want.Person, want.At = "page", "1", "11", at
		got, err := Decode(envelope(event))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %s\nwant %s", event, err, show(got), show(want))
		}
	}
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestEventsOfThePageHaveNoPerson(t *testing.T) {
	for event, want := range map[string]Event{
		`"policy_enforcement":{"action":"block","reason":"spam"}`: {Kind: KindPolicy, Policy: &Policy{"block", "spam"}},
		`"policy-enforcement":{"action":"unblock"}`:               {Kind: KindPolicy, Policy: &Policy{"unblock", ""}},
		`"app_roles":{"222":["secondary_receiver"],"111":[]}`:     {Kind: KindAppRoles, Roles: map[string][]string{"222": {"secondary_receiver"}, "111": nil}},
	} {
		want.Object, want.Page, want.At = "page", "1", at
		got, err := Decode([]byte(`{"object":"page","entry":[{"id":"1","messaging":[{"recipient":{"id":"1"},` +
			`"timestamp":1795000000123,` + event + `}]}]}`))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %s\nwant %s", event, err, show(got), show(want))
		}
	}
}

func TestDecodeReadsEchoesInStandby(t *testing.T) {
	got, err := Decode([]byte(`{"object":"page","entry":[{"id":1,"time":1795000000,"standby":[{"sender":{"id":1},"recipient":{"id":11},` +
		`"message":{"is_echo":true,"app_id":1517776481860111,"metadata":"ours-1","mid":"AG5Hz2U","text":"Hi","attachments":[` +
		`{"title":"","url":"https:\/\/www.facebook.com\/x","type":"template","payload":{"template_type":"button","text":"Choose",` +
		`"elements":[{"attachment_id":77,"title":"Shoe","subtitle":"Red","buttons":[{"title":"Buy"}]}],"buttons":[{"title":"Help"}]}}]}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := got.Message
	if got.Kind != KindEcho || !got.Standby || got.Person != "11" || !got.At.Equal(time.Unix(1795000000, 0)) ||
		!m.Echo || m.AppID != "1517776481860111" || m.Metadata != "ours-1" || m.MID != "AG5Hz2U" {
		t.Errorf("echo: %s", show(got))
	}
	want := &Template{"button", "Choose", []TemplateElement{{"Shoe", "Red", ""}}, []string{"Help", "Buy"}}
	if len(m.Attachments) != 1 || !reflect.DeepEqual(m.Attachments[0].Template, want) {
		t.Errorf("template: %s", show(m.Attachments))
	}
}

func TestAttachmentsAreReadInEveryShape(t *testing.T) {
	for in, want := range map[string]Attachment{
		`{"type":"image","payload":{"url":"https:\/\/cdn\/1"}}`:    {Type: "image", URL: "https://cdn/1"},
		`{"type":"fallback","payload":{"url":"u","title":"t"}}`:    {Type: "fallback", URL: "u", Title: "t"},
		`{"title":"t","url":"u","type":"fallback","payload":null}`: {Type: "fallback", URL: "u", Title: "t"},
		`{"type":"fallback"}`: {Type: "fallback"},
		`{"title":"t","url":"u","type":"location","payload":{"coordinates":{"lat":1.5,"long":-3}}}`: {Type: "location", URL: "u", Title: "t", Place: &Place{1.5, -3}},
		`{"type":"reel","payload":{"url":"u","title":"t","reel_video_id":99}}`:                      {Type: "reel", URL: "u", Title: "t", ID: "99"},
		`{"type":"post","payload":{"url":"u","title":"t","id":"98"}}`:                               {Type: "post", URL: "u", Title: "t", ID: "98"},
		`{"type":"hologram","payload":[1]}`:                                                         {Type: "hologram"},
		`{"type":"template","payload":{"product":{"elements":[{"id":"1","title":"Shoe"}]}}}`:        {Type: "template", Template: &Template{Elements: []TemplateElement{{Title: "Shoe"}}}},
	} {
		e, err := Decode(envelope(`"message":{"mid":"m_1","attachments":[` + in + `]}`))
		if err != nil || len(e.Message.Attachments) != 1 {
			t.Errorf("%s: %v %s", in, err, show(e))
			continue
		}
		got := e.Message.Attachments[0]
		if hasPayload := got.Payload != nil; hasPayload != (strings.Contains(in, "payload") && !strings.Contains(in, "null")) {
			t.Errorf("%s: payload %s", in, got.Payload)
		}
		got.Payload = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s, want %s", in, show(got), show(want))
		}
	}
}

func TestAStickerIsShownOnceInAllItsShapes(t *testing.T) {
	for _, message := range []string{
		`"sticker_id":369239263222822,"attachments":[{"type":"image","payload":{"url":"u","sticker_id":369239263222822}}]`,
		`"sticker_id":369239263222822,"attachments":[{"type":"image","payload":{"url":"u"}}]`,
		`"attachments":[{"type":"sticker","payload":{"url":"u","sticker_id":369239263222822}},{"type":"image","payload":{"url":"u","sticker_id":369239263222822}}]`,
		`"attachments":[{"type":"image","payload":{"url":"u","sticker_id":"369239263222822"}},{"type":"sticker","payload":{"url":"u","sticker_id":369239263222822}}]`,
		`"attachments":[{"type":"sticker","payload":{"url":"u","sticker_id":369239263222822}}]`,
	} {
		e, err := Decode(envelope(`"message":{"mid":"m_1",` + message + `}`))
		if err != nil || len(e.Message.Attachments) != 1 {
			t.Errorf("%s: %v %s", message, err, show(e))
			continue
		}
		if a := e.Message.Attachments[0]; a.Type != "sticker" || a.StickerID != "369239263222822" || a.URL != "u" {
			t.Errorf("%s: %s", message, show(a))
		}
	}
	e, _ := Decode(envelope(`"message":{"mid":"m_1","attachments":[{"type":"image","payload":{"url":"1"}},{"type":"image","payload":{"url":"2"}}]}`))
	if len(e.Message.Attachments) != 2 || e.Message.Attachments[0].Type != "image" {
		t.Errorf("two pictures became %s", show(e.Message.Attachments))
	}
}

func TestDecodeRefusesWhatClaimsAKindAndCannotBeApplied(t *testing.T) {
	const people = `"sender":{"id":"11"},"recipient":{"id":"1"},`
	for item, want := range map[string]string{
		`{"sender":{"id":"11"},"recipient":{"id":"9"},"message":{"mid":"secret"}}`: "message between others than its page",
		`{` + people + `"message":{"text":"secret"}}`:                              "message without mid",
		`{` + people + `"message":{"mid":{"secret":1}}}`:                           "message without mid",
		`{"sender":{"id":"1"},"recipient":{"id":"1"},"message":{"mid":"secret"}}`:  "message without person",
		`{` + people + `"reaction":{"emoji":"secret"}}`:                            "reaction without mid",
		`{` + people + `"message_edit":{"text":"secret"}}`:                         "message_edit without mid",
		`{` + people + `"read":{"watermark":"secret"}}`:                            "read without watermark",
		`{` + people + `"delivery":{}}`:                                            "delivery without watermark",
		`"secret"`:                                                                 "not a webhook item",
	} {
		_, err := Decode([]byte(`{"object":"page","entry":[{"id":"1","messaging":[` + item + `]}]}`))
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", item, err, want)
		}
	}
	if _, err := Decode([]byte(`{"object":"page","entry":[{"messaging":[{"sender":{"id":"11"},"message":{"mid":"m"}}]}]}`)); err == nil {
		t.Error("a message without page was taken")
	}
	if _, err := Decode([]byte(`{"object":"page","entry":[{"id":"1","messaging":[{},{}]}]}`)); err == nil {
		t.Error("two items were taken for one")
	}
	if e, err := Decode([]byte(`{"object":"permissions","entry":[{"id":"9","changes":[]}]}`)); err != nil || e.Kind != KindUnknown {
		t.Errorf("permissions: %v", err)
	}
}

func TestTimesBelow1e12AreSecondsAndNonsenseIsNoTime(t *testing.T) {
	for in, want := range map[string]time.Time{
		"1701599111": time.Unix(1701599111, 0).UTC(), "1795000000123": at,
		"0": {}, "-5": {}, "": {}, "x": {}, "1.5": {}, "99999999999999999999": {}, "9999999999999999": {},
	} {
		if got := moment(in); !got.Equal(want) {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

// FuzzDecode holds that nothing panics and that every string that comes out can be stored.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`"message":{"mid":"m_1","text":"a\u0000b\ud800","attachments":[{"type":"image","payload":{"sticker_id":1}},7]}`,
		`"message":{"is_echo":true,"mid":"m"},"timestamp":-1`, `"app_roles":{"\u0000":["x\u0000"]}`, `"postback":{"referral":{}}`,
		`"optin":{},"policy_enforcement":{}`, `"delivery":{"mids":[1,null]}`, `"pass_thread_control":{"metadata":[]}`,
	} {
		f.Add(envelope(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, item := range Split(body) {
			e, _ := Decode(item.Body())
			checkStrings(t, reflect.ValueOf(e))
			if said, isPlain := plainText(item.element); isPlain && item.entry != nil {
				var w wireItem
				if err := tolerate(json.Unmarshal(item.element, &w)); err != nil || !reflect.DeepEqual(w, wireItem{wireSaid: said}) {
					t.Fatalf("%s is read as %+v, by encoding/json as %+v, %v", item.element, said, w, err)
				}
			}
		}
	})
}

func checkStrings(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Fatalf("%q cannot be stored", s)
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Type() != reflect.TypeFor[*time.Location]() {
			checkStrings(t, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			checkStrings(t, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkStrings(t, v.Index(i))
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			checkStrings(t, key)
			checkStrings(t, value)
		}
	}
}
