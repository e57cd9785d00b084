package desk

import (
	"parley/ent/event"
	"parley/server/eventlog"
)

// Step is one step of a feed: it moves over entries of the log, of which its
// viewer sees some, or says something of the feed itself. What it shows is made
// only when asked for, so that feeds with the same to show can share it. The
// zero Step can be given to any feed, and again.
type Step struct {
	desk    *Desk
	said    *Update // instead of entries
	entries []eventlog.Entry
	key     []byte // two positions, then a sight for each entry
	any     bool   // one of them is to be seen
	shared  bool

	read    bool // the stretch was, for the feed before
	after   int64
	stretch []eventlog.Entry
}

// Renew has Live read the log anew.
func (s *Step) Renew() { s.read, s.stretch = false, nil }

// sight is how a viewer sees an entry.
type sight byte

// positions is how many bytes of a key are before the sights.
const positions = 16

const (
	hidden  sight = iota
	shown         // as it is
	opened        // a chat came into their view
	removed       // a chat went out of it
)

func (s *Step) say(u Update) bool {
	s.said, s.entries, s.shared = &u, nil, false
	return true
}

func (s *Step) to() int64 { return s.entries[len(s.entries)-1].ID }

// Key is the same for steps that show the same, as long as the replica has in
// memory what they show; nil where nothing else shows the same. It is valid
// until the step is given to a feed again.
func (s *Step) Key() []byte {
	if !s.shared {
		return nil
	}
	return s.key
}

// Changed says that the step is a change of what the viewer may see.
func (s *Step) Changed() bool { return s.said != nil && s.said.Resync == RightsChanged }

// Update is what the step shows.
func (s *Step) Update() Update {
	switch {
	case s.said != nil:
		return *s.said
	case len(s.entries) == 0:
		return Update{}
	}
	u := Update{Cursor: s.desk.events.Cursor(s.to())}
	for i, entry := range s.entries {
		if seen := sight(s.key[positions+i]); seen != hidden {
			u.Events = append(u.Events, s.desk.show(entry, seen))
		}
	}
	return u
}

// show is an entry as who has such a sight of it sees it.
func (d *Desk) show(entry eventlog.Entry, seen sight) Event {
	about := entry.Subject.(*subject)
	e := Event{
		Event: entry.Event, Cursor: d.events.Cursor(entry.ID), Removed: seen == removed,
		Chat: about.chat, Message: about.message, Operator: about.operator, Channel: about.channel,
	}
	if seen == opened {
		changed := *entry.Event
		changed.Kind = event.KindChatOpened
		e.Event = &changed
	}
	return e
}
