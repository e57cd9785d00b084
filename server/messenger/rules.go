package messenger

import "time"

// Where and in which version the Graph API is spoken (changelog, Oct 2026: v26.0 of 29 Jul 2026 is the newest; v25.0
// ends 29 Jul 2028).
const (
	DefaultBaseURL = "https://graph.facebook.com"
	DefaultVersion = "v26.0"
)

// Limits of the Send API (send reference, Oct 2026). It does not say what a character is; UTF-16 units are the most
// cautious reading.
const (
	MaxTextUnits      = 2000
	MaxMetadataLength = 1000
)

// How long after a person's last message one may answer (policy overview, Oct 2026): at first with anything, then only
// with the tag HUMAN_AGENT, written by a human, in an app that was granted the feature.
const (
	StandardWindow   = 24 * time.Hour
	HumanAgentWindow = 7 * 24 * time.Hour
)

// Values of messaging_type and tag that we send (send reference, Oct 2026).
const (
	TypeResponse   = "RESPONSE"
	TypeUpdate     = "UPDATE"
	TypeMessageTag = "MESSAGE_TAG"
	TagHumanAgent  = "HUMAN_AGENT"
)

// PageInboxApp is the app id under which Facebook's own inbox writes (conversation routing, Oct 2026; the echo page
// prints it two digits short).
const PageInboxApp = "263902037430900"

// SubscribedFields gives the webhook fields the product needs of a page (subscribed_apps reference, Apr 2026).
func SubscribedFields() []string {
	return []string{
		"messages", "messaging_postbacks", "messaging_referrals", "messaging_optins",
		"message_deliveries", "message_reads", "message_echoes", "message_reactions", "message_edits",
		"messaging_handovers", "standby", "messaging_policy_enforcement", "messaging_account_linking",
	}
}

// DefaultDialogURL is where people log in (login guide, Oct 2026).
const DefaultDialogURL = "https://www.facebook.com"

// LoginScopes gives the permissions that a login asks for (permissions reference, Oct 2026). business_management is for
// pages that belong to a Business Portfolio, which are not listed without it.
func LoginScopes() []string {
	return []string{
		"pages_show_list", "pages_messaging", "pages_manage_metadata", "pages_read_engagement", "business_management",
	}
}

// Which tasks on a page let somebody answer its messages, and which let them subscribe an app to it (permissions and
// subscribed_apps references, Oct 2026). Pages of the newer kind have the same names with PROFILE_PLUS_ before them.
var (
	messagingTasks   = []string{"MESSAGING", "MANAGE", "FULL_CONTROL"}
	subscribingTasks = []string{"MODERATE", "CREATE_CONTENT", "MANAGE", "FULL_CONTROL"}
)
