package graph

import (
	"parley/ent/webhookevent"
	"parley/graph/generated"
	"parley/graph/model"
	"parley/server/globalid"
)

// costs makes a list cost as much as the elements that it may have.
func costs() generated.ComplexityRoot {
	var c generated.ComplexityRoot
	list := func(child int, first *int, _ *string) int { return pageCost(child, first) }
	c.Query.Queues, c.Query.Operators, c.Query.Contacts, c.Query.AuditEntries, c.Query.APIClients = list, list, list, list, list
	c.Query.Channels = func(child int, _ bool, first *int, _ *string) int { return pageCost(child, first) }
	c.Query.Chats = func(child int, first *int, _ *string, _ *model.ChatFilter) int { return pageCost(child, first) }
	c.Query.Events = func(child int, _ *string, first *int, _ *model.ChatEventFilter) int {
		return pageCost(child, pointer(eventCount(first)))
	}
	c.Query.WebhookEvents = func(child int, first *int, _ *string, _ *webhookevent.State) int { return pageCost(child, first) }
	c.Query.QuickReplies = func(child int, _ *globalid.ID, first *int, _ *string) int { return pageCost(child, first) }
	c.Query.SuggestedQuickReplies = func(child int, _ globalid.ID, _ *string, first int) int { return pageCost(child, &first) }
	c.QuickReplyReport.Untranslated = func(child int) int { return 1 + 100*child } // there may be more, seldom
	c.QuickReply.Texts = func(child int) int { return 1 + 5*child }
	c.QuickReply.Queues = func(child int) int { return 1 + 5*child }
	c.FacebookLogin.Pages = func(child int) int { return 100 + 25*child } // asks Facebook, several times
	c.Query.Nodes = func(child int, ids []*globalid.ID) int { return 1 + child*len(ids) }
	c.Chat.Messages = func(child int, first, last *int, _, _ *string) int {
		if first == nil {
			first = last
		}
		return pageCost(child, first)
	}
	c.Queue.Members = func(child int) int { return 1 + 20*child }
	c.Message.Deliveries = func(child int) int { return 1 + 2*child }
	c.ChatEventBatch.Events = func(child int) int { return 1 + child } // paid as they come
	return c
}

func pageCost(child int, n *int) int {
	if n == nil {
		return 1 + 25*child
	}
	return 1 + max(0, min(*n, 100))*child
}
