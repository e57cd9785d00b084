package messengertest

import (
	"encoding/json"
	"maps"
	"time"

	"parley/server/messenger"
)

// object is a JSON object in the making.
type object = map[string]any

// Writes sends a text to the page and gives its mid.
func (w *Person) Writes(text string) string { return w.Sends(object{"text": text}) }

// Replies answers a message.
func (w *Person) Replies(mid, text string) string {
	return w.Sends(object{"text": text, "reply_to": object{"mid": mid, "is_self_reply": false}})
}

// TapsQuickReply sends the answer that a quick reply stands for.
func (w *Person) TapsQuickReply(title, payload string) string {
	return w.Sends(object{"text": title, "quick_reply": object{"payload": payload}})
}

// SendsImage sends a picture.
func (w *Person) SendsImage(url string) string { return w.SendsAttachment("image", object{"url": url}) }

// SendsSticker sends a sticker in today's shape, as an attachment of its own kind.
func (w *Person) SendsSticker(id int64, url string) string {
	return w.SendsAttachment("sticker", object{"url": url, "sticker_id": id})
}

// SendsAttachment sends one attachment of any kind.
func (w *Person) SendsAttachment(kind string, payload any) string {
	return w.Sends(object{"attachments": []object{{"type": kind, "payload": payload}}})
}

// Sends sends a message of any shape, which gets its mid here.
func (w *Person) Sends(message map[string]any) string {
	g := w.page.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	mid := g.newMID()
	sent := object{}
	maps.Copy(sent, message)
	sent["mid"] = mid
	w.does("messages", messenger.KindMessage, sent, true)
	return mid
}

// TapsButton taps a button of a template or menu.
func (w *Person) TapsButton(title, payload string) string {
	g := w.page.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	mid := g.newMID()
	w.does("messaging_postbacks", messenger.KindPostback, object{"mid": mid, "title": title, "payload": payload}, true)
	return mid
}

// FollowsLink opens an m.me link with a ref.
func (w *Person) FollowsLink(ref string) {
	w.act("messaging_referrals", messenger.KindReferral, object{"ref": ref, "source": "SHORTLINK", "type": "OPEN_THREAD"}, true)
}

// Reacts puts a reaction on a message.
func (w *Person) Reacts(mid, reaction, emoji string) {
	w.act("message_reactions", messenger.KindReaction,
		object{"reaction": reaction, "emoji": emoji, "action": "react", "mid": mid}, true)
}

// Unreacts takes a reaction away.
func (w *Person) Unreacts(mid string) {
	w.act("message_reactions", messenger.KindReaction, object{"action": "unreact", "mid": mid}, false)
}

// Edits gives a message another text.
func (w *Person) Edits(mid, text string, number int) {
	w.act("message_edits", messenger.KindEdit, object{"mid": mid, "text": text, "num_edit": number}, false)
}

// Unsends takes a message back.
func (w *Person) Unsends(mid string) {
	w.act("messages", messenger.KindMessage, object{"mid": mid, "is_deleted": true}, false)
}

// Reads has read everything that was sent until now.
func (w *Person) Reads() {
	g := w.page.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	w.reads()
}

// reads is Reads for a caller that holds the lock.
func (w *Person) reads() {
	w.does("message_reads", messenger.KindRead, object{"watermark": w.page.graph.clock.Now().UnixMilli()}, false)
}

// Blocks and Unblocks: the page cannot, or can again, write to this person.
func (w *Person) Blocks()   { w.setBlocked(true) }
func (w *Person) Unblocks() { w.setBlocked(false) }

func (w *Person) setBlocked(blocked bool) {
	w.page.graph.mu.Lock()
	defer w.page.graph.mu.Unlock()
	w.blocked = blocked
}

// Received tells how many messages were sent to this person.
func (w *Person) Received() int {
	w.page.graph.mu.Lock()
	defer w.page.graph.mu.Unlock()
	return w.received
}

func (w *Person) act(field, kind string, value any, opensWindow bool) {
	w.page.graph.mu.Lock()
	defer w.page.graph.mu.Unlock()
	w.does(field, kind, value, opensWindow)
}

// does publishes an event that comes from this person. The caller holds the lock.
func (w *Person) does(field, kind string, value any, opensWindow bool) {
	now := w.page.graph.clock.Now()
	if opensWindow {
		w.lastWrote = now
	}
	w.page.graph.publish(event{page: w.page, field: field, from: w.ID, to: w.page.ID, at: now, kind: kind, value: value})
}

// InboxReplies has somebody answer from Facebook's own inbox. The apps see an echo without metadata.
func (p *Page) InboxReplies(to *Person, text string) string {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	mid := p.graph.newMID()
	to.received++
	p.graph.publish(echo(to, p.graph.clock.Now(), object{
		"is_echo": true, "app_id": json.Number(messenger.PageInboxApp), "mid": mid, "text": text}))
	return mid
}

func echo(to *Person, at time.Time, message object) event {
	return event{page: to.page, field: "message_echoes", from: to.page.ID, to: to.ID, at: at,
		kind: messenger.KindMessage, value: message}
}

// Posts delivers items exactly as given, whatever they are, to all subscribed apps.
func (p *Page) Posts(items ...string) { p.posts("messaging", items) }

// PostsStandby is Posts, but as if another app had the thread.
func (p *Page) PostsStandby(items ...string) { p.posts("standby", items) }

// PostsChanges is Posts for elements of "changes".
func (p *Page) PostsChanges(items ...string) { p.posts("changes", items) }

func (p *Page) posts(array string, items []string) {
	p.graph.mu.Lock()
	defer p.graph.mu.Unlock()
	for _, item := range items {
		p.graph.publish(event{page: p, array: array, at: p.graph.clock.Now(), raw: json.RawMessage(item)})
	}
}
