// Package demo owns the first look at Parley: a whole one on an embedded
// database of its own, a simulated Facebook whose customers keep writing, a
// connected page, a queue, operators, and GraphiQL open on what arrives. It is
// used by the demo command alone, and leaves nothing behind.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"parley/ent/operator"
	"parley/server/app"
	"parley/server/audit"
	"parley/server/auth"
	"parley/server/config"
	"parley/server/desk"
	"parley/server/globalid"
	"parley/server/graphiql"
	"parley/server/messenger/messengertest"
)

const (
	appID    = "1111111111"
	tokenTTL = 24 * time.Hour // nobody has to sign in again while looking around
	every    = 3 * time.Second
)

// query is what GraphiQL opens with.
const query = `# Customers are writing to the demo page. Press the play button and watch.
subscription LiveMessages {
  messageAdded {
    cursor
    message {
      text
      direction
      author { kind name }
      chat { id status contact { name } queue { name } }
    }
  }
}

# The inbox, to try next:
query Inbox {
  chats(first: 10, filter: { status: [WAITING, IN_PROGRESS] }) {
    nodes { id status unreadCount contact { name } messages(last: 3) { nodes { text sentAt } } }
  }
}

# Take a chat by its id, then answer: the customer writes back.
mutation Accept($chat: ID!) {
  acceptChat(input: { chatId: $chat }) { chat { status operator { name } } userErrors { code message } }
}

mutation Answer($chat: ID!) {
  sendMessage(input: { chatId: $chat, text: "Hello, how can I help?" }) { message { id status } userErrors { code message } }
}
`

// Run shows the demo until the context ends.
func Run(ctx context.Context, c config.Config, log *slog.Logger, out io.Writer) error {
	folder, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	facebook, err := startFacebook(c.PublicURL)
	if err != nil {
		return err
	}
	defer facebook.close()

	c.DatabaseURL, c.Data, c.GraphURL, c.AccessTokenTTL, c.Production = "", folder, facebook.url, tokenTTL, false
	c.FacebookAppID, c.FacebookAppSecret, c.FacebookWebhookVerifyToken = appID, facebook.secret, uuid.NewString()
	c.AdminEmail, c.AdminPassword = "admin@demo.example", ""
	a, err := app.New(ctx, app.Options{Config: c, Log: log})
	if err != nil {
		return err
	}
	defer a.Close()
	facebook.demo.Set(a.Addr())
	admin, err := a.Auth.SignIn(ctx, a.FirstAdmin.Email, a.FirstAdmin.Password, "demo")
	if err != nil {
		return err
	}
	a.Explorer = graphiql.Config{
		Endpoint: "/graphql", Query: query, Headers: fmt.Sprintf("{\n  \"Authorization\": \"Bearer %s\"\n}", admin.AccessToken),
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	var served error
	parts.Go(func() { served = a.Run(serving); stop() })
	if err = setUp(serving, a, admin, facebook); err == nil {
		tell(out, a)
		crowd := messengertest.Chatter{Graph: facebook.graph, Pages: []*messengertest.Page{facebook.page}, Every: every}
		parts.Go(func() { crowd.Run(serving) })
		<-serving.Done()
	}
	stop()
	parts.Wait()
	return errors.Join(err, served)
}

func tell(out io.Writer, a *app.App) {
	fmt.Fprintf(out, `Parley demo: http://%[1]s/
GraphiQL is signed in already: press the play button to see messages arrive.
e-mail: %[2]s
password: %[3]s
Operators ann@demo.example and ben@demo.example have the same password.
Stop with Ctrl+C; nothing is kept.
`, a.Addr(), a.FirstAdmin.Email, a.FirstAdmin.Password)
}

// setUp does what an administrator would: connect the page, add operators, make
// a queue, go live.
func setUp(ctx context.Context, a *app.App, admin auth.Tokens, f *facebook) error {
	viewer := desk.Viewer{Operator: admin.Operator}
	hash, err := auth.Hash(a.FirstAdmin.Password)
	if err != nil {
		return err
	}
	members := []globalid.ID{admin.Operator.GlobalID()}
	for email, name := range map[string]string{"ann@demo.example": "Ann", "ben@demo.example": "Ben"} {
		o, err := a.Desk.CreateOperator(ctx, viewer, desk.NewOperator{
			Email: email, Name: name, PasswordHash: hash, Role: operator.RoleOperator,
		})
		if err != nil {
			return err
		}
		members = append(members, o.GlobalID())
	}
	queue, err := a.Desk.CreateQueue(ctx, viewer, "Support", members, "")
	if err != nil {
		return err
	}
	channel, err := a.Channels.ConnectPage(ctx, audit.Actor{}, f.page.Token, false)
	if err != nil {
		return err
	}
	active, queueID := true, queue.GlobalID()
	_, err = a.Desk.UpdateChannel(ctx, audit.Actor{}, desk.ChannelChange{ChannelRef: desk.ChannelRef{ID: channel.GlobalID()}, Active: &active, Queue: &desk.Queued{ID: queueID}})
	return err
}

// facebook is the simulated Graph API on an address of its own.
type facebook struct {
	url, secret string
	graph       *messengertest.Graph
	page        *messengertest.Page
	demo        messengertest.Address
	server      *http.Server
}

// startFacebook finds the demo by its public URL, wherever that is.
func startFacebook(publicURL string) (*facebook, error) {
	public, err := url.Parse(publicURL)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &facebook{url: "http://" + listener.Addr().String(), secret: uuid.NewString()}
	f.graph = messengertest.New(messengertest.Options{HTTP: messengertest.Reaching(public.Hostname(), f.demo.Get)})
	f.graph.AddApp(messengertest.App{ID: appID, Secret: f.secret, Name: "Parley demo"})
	f.page = f.graph.AddPage(messengertest.Page{ID: "1000", Name: "Harbour Coffee", AppID: appID})
	f.server = &http.Server{Handler: f.graph, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(listener) }()
	return f, nil
}

func (f *facebook) close() {
	_ = f.server.Close()
	f.graph.Close()
}
