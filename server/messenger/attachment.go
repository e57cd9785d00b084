package messenger

import "encoding/json"

type wireAttachment struct {
	Type    text            `json:"type"`
	URL     text            `json:"url"`
	Title   text            `json:"title"`
	Payload json.RawMessage `json:"payload"`
}

type wirePayload struct {
	URL          text `json:"url"`
	Title        text `json:"title"`
	ID           text `json:"id"`
	ReelID       text `json:"reel_video_id"`
	AttachmentID text `json:"attachment_id"`
	StickerID    text `json:"sticker_id"`
	Coordinates  *struct {
		Lat  float64 `json:"lat"`
		Long float64 `json:"long"`
	} `json:"coordinates"`
	TemplateType text          `json:"template_type"`
	Text         text          `json:"text"`
	Elements     []wireElement `json:"elements"`
	Buttons      []wireElement `json:"buttons"`
	Product      struct {
		Elements []wireElement `json:"elements"`
	} `json:"product"`
}

type wireElement struct {
	Title    text          `json:"title"`
	Subtitle text          `json:"subtitle"`
	ImageURL text          `json:"image_url"`
	Buttons  []wireElement `json:"buttons"`
}

func (w wireMessage) message(echo bool) *Message {
	return &Message{
		MID: string(w.MID), Text: string(w.Text), Echo: echo, AppID: string(w.AppID), Metadata: string(w.Metadata),
		Attachments: w.attachments(), QuickReplyPayload: string(w.QuickReply.Payload), ReplyTo: string(w.ReplyTo.MID),
		Referral: w.Referral.referral(), Deleted: w.Deleted, Unsupported: w.Unsupported,
	}
}

// attachments gives each sticker once. It comes as an image with a sticker_id in its payload or beside it (before
// June 2026), as an image and a sticker both (until 30 Aug 2026), or as a sticker alone (since; webhook reference, Oct 2026).
func (w wireMessage) attachments() []Attachment {
	if len(w.Attachments) == 0 {
		return nil
	}
	var all []Attachment
	stickers := map[string]bool{}
	for _, wa := range w.Attachments {
		a := wa.attachment()
		if a.Type == "image" && a.StickerID == "" && len(w.Attachments) == 1 {
			a.StickerID = string(w.StickerID)
		}
		if a.Type == "image" && a.StickerID != "" {
			a.Type = "sticker"
		}
		if a.StickerID != "" {
			if stickers[a.StickerID] {
				continue
			}
			stickers[a.StickerID] = true
		}
		all = append(all, a)
	}
	return all
}

// attachment takes url and title from the payload or, in older fallbacks and locations, from beside it.
func (w wireAttachment) attachment() Attachment {
	var p wirePayload
	_ = json.Unmarshal(w.Payload, &p) // absent, null or of another shape: then the payload tells us nothing
	a := Attachment{
		Type: string(w.Type), URL: string(first(p.URL, w.URL)), Title: string(first(p.Title, w.Title)),
		ID: string(first(p.AttachmentID, p.ReelID, p.ID)), StickerID: string(p.StickerID),
	}
	if len(w.Payload) > 0 && string(w.Payload) != "null" {
		a.Payload = w.Payload
	}
	if p.Coordinates != nil {
		a.Place = &Place{p.Coordinates.Lat, p.Coordinates.Long}
	}
	if a.Type == "template" {
		a.Template = p.template()
	}
	return a
}

func (p wirePayload) template() *Template {
	t := &Template{Type: string(p.TemplateType), Text: string(p.Text)}
	for _, b := range p.Buttons {
		t.Buttons = append(t.Buttons, string(b.Title))
	}
	for _, e := range append(p.Elements, p.Product.Elements...) {
		t.Elements = append(t.Elements, TemplateElement{string(e.Title), string(e.Subtitle), string(e.ImageURL)})
		for _, b := range e.Buttons {
			t.Buttons = append(t.Buttons, string(b.Title))
		}
	}
	return t
}

func first(texts ...text) text {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
