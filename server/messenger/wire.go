package messenger

import (
	"strconv"
	"strings"
)

// text is a string, or a number as written; whatever else stands there is "". No member of an item is worth refusing
// the item for its type.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	*t = text(scalar(raw))
	return nil
}

// The wire types are the items of the webhook reference (Oct 2026) and older shapes that are still seen.
type wireItem struct {
	wireSaid
	Delivery       wireDelivery      `json:"delivery"`
	Read           wireDelivery      `json:"read"`
	Reaction       wireReaction      `json:"reaction"`
	Edit           wireEdit          `json:"message_edit"`
	Postback       wirePostback      `json:"postback"`
	Referral       *wireReferral     `json:"referral"`
	Optin          wireOptin         `json:"optin"`
	AccountLinking wireLinking       `json:"account_linking"`
	Policy         wirePolicy        `json:"policy_enforcement"`
	OldPolicy      wirePolicy        `json:"policy-enforcement"`
	Pass           wireControl       `json:"pass_thread_control"`
	Take           wireControl       `json:"take_thread_control"`
	Request        wireControl       `json:"request_thread_control"`
	Roles          map[string][]text `json:"app_roles"`
}

// wireSaid is what most items have, and texts alone.
type wireSaid struct {
	Sender    wireParty   `json:"sender"`
	Recipient wireParty   `json:"recipient"`
	Timestamp text        `json:"timestamp"`
	Message   wireMessage `json:"message"`
}

type wireParty struct {
	ID text `json:"id"`
}

type wireMessage struct {
	MID         text             `json:"mid"`
	Text        text             `json:"text"`
	AppID       text             `json:"app_id"`
	Metadata    text             `json:"metadata"`
	StickerID   text             `json:"sticker_id"`
	QuickReply  wirePostback     `json:"quick_reply"`
	ReplyTo     wireReply        `json:"reply_to"`
	Referral    *wireReferral    `json:"referral"`
	Attachments []wireAttachment `json:"attachments"`
	Deleted     bool             `json:"is_deleted"`
	Unsupported bool             `json:"is_unsupported"`
}

type wireReply struct {
	MID text `json:"mid"`
}

type wireDelivery struct {
	MIDs      []text `json:"mids"`
	Watermark text   `json:"watermark"`
}

type wireReaction struct {
	Reaction text `json:"reaction"`
	Emoji    text `json:"emoji"`
	Action   text `json:"action"`
	MID      text `json:"mid"`
}

type wireEdit struct {
	MID    text `json:"mid"`
	Text   text `json:"text"`
	Number text `json:"num_edit"`
}

type wirePostback struct {
	MID      text          `json:"mid"`
	Title    text          `json:"title"`
	Payload  text          `json:"payload"`
	Referral *wireReferral `json:"referral"`
}

type wireReferral struct {
	Ref        text `json:"ref"`
	Source     text `json:"source"`
	Type       text `json:"type"`
	AdID       text `json:"ad_id"`
	RefererURI text `json:"referer_uri"`
	Product    struct {
		ID text `json:"id"`
	} `json:"product"`
	Ad struct {
		Title text `json:"ad_title"`
	} `json:"ads_context_data"`
}

type wireOptin struct {
	Type    text `json:"type"`
	Ref     text `json:"ref"`
	UserRef text `json:"user_ref"`
	Payload text `json:"payload"`
	Title   text `json:"title"`
	Token   text `json:"notification_messages_token"`
	OneTime text `json:"one_time_notif_token"`
	Status  text `json:"notification_messages_status"`
}

type wireLinking struct {
	Status text `json:"status"`
	Code   text `json:"authorization_code"`
}

type wirePolicy struct {
	Action text `json:"action"`
	Reason text `json:"reason"`
}

type wireControl struct {
	Previous  text `json:"previous_owner_app_id"`
	New       text `json:"new_owner_app_id"`
	Requested text `json:"requested_owner_app_id"`
	Metadata  text `json:"metadata"`
}

// fill gives the event the content of its kind, if that is no message.
func (w *wireItem) fill(e *Event) {
	switch e.Kind {
	case KindDelivery:
		e.Delivery = &Delivery{MIDs: plain(w.Delivery.MIDs), Watermark: moment(string(w.Delivery.Watermark))}
	case KindRead:
		e.Read = &Read{Watermark: moment(string(w.Read.Watermark))}
	case KindReaction:
		r := w.Reaction
		e.Reaction = &Reaction{string(r.MID), string(r.Reaction), string(r.Emoji), r.Action == "unreact"}
	case KindEdit:
		n, _ := strconv.Atoi(string(w.Edit.Number)) // informative only: 0 where it is no number
		e.Edit = &Edit{string(w.Edit.MID), string(w.Edit.Text), n}
	case KindPostback:
		p := w.Postback
		e.Postback = &Postback{string(p.MID), string(p.Title), string(p.Payload), p.Referral.referral()}
	case KindReferral:
		e.Referral = w.Referral.referral()
	default:
		w.fillRare(e)
	}
}

func (w *wireItem) fillRare(e *Event) {
	switch e.Kind {
	case KindOptin:
		e.Optin = w.Optin.optin()
	case KindAccountLinking:
		e.Linking = &AccountLinking{w.AccountLinking.Status == "linked", string(w.AccountLinking.Code)}
	case KindPolicy:
		p := w.Policy
		if p == (wirePolicy{}) {
			p = w.OldPolicy
		}
		e.Policy = &Policy{string(p.Action), string(p.Reason)}
	case KindPassThread:
		e.Control = w.Pass.control()
	case KindTakeThread:
		e.Control = w.Take.control()
	case KindRequestThread:
		e.Control = w.Request.control()
	case KindAppRoles:
		e.Roles = map[string][]string{}
		for app, roles := range w.Roles {
			e.Roles[strings.ReplaceAll(app, "\x00", "")] = plain(roles)
		}
	}
}

func (w *wireReferral) referral() *Referral {
	if w == nil {
		return nil
	}
	return &Referral{Ref: string(w.Ref), Source: string(w.Source), Type: string(w.Type), AdID: string(w.AdID),
		AdTitle: string(w.Ad.Title), RefererURI: string(w.RefererURI), ProductID: string(w.Product.ID)}
}

func (w wireOptin) optin() *Optin {
	return &Optin{Type: string(w.Type), Ref: string(w.Ref), UserRef: string(w.UserRef), Payload: string(w.Payload),
		Title: string(w.Title), Token: string(w.Token + w.OneTime), Status: string(w.Status)}
}

func (w wireControl) control() *ThreadControl {
	return &ThreadControl{string(w.Previous), string(w.New), string(w.Requested), string(w.Metadata)}
}

func plain(texts []text) []string {
	var all []string
	for _, t := range texts {
		if t != "" {
			all = append(all, string(t))
		}
	}
	return all
}
