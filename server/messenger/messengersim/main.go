// Command messengersim serves the simulated Graph API on its own, for scripts and for trying Parley out by hand:
//
//	go run ./server/messenger/messengersim -page 101234567890123:PAGE-TOKEN:"Demo page" \
//	    -callback http://localhost:8080/webhooks/facebook -verify-token secret -customers 5 -every 3s
//
// People who log in to connect pages are described by -user; the dialog is on the same address, so Parley's dialog URL
// and Graph URL are one:
//
//	go run ./server/messenger/messengersim -subscribe=false -page 101::"Demo page" -page 102::"Shop" -page 103::"Partner" \
//	    -user '2001:Ann Lee:101,102=MESSAGING+MODERATE' -user '2002:Tom Hughes:102=ANALYZE,103@9001' \
//	    -redirect http://localhost:8080/login/facebook/callback
//
// Ann administers page 101, and may answer and subscribe page 102. Tom may only look at the figures of page 102; page 103
// is in the Business Portfolio 9001. In the dialog one is whoever one likes.
//
// The control API under /_sim/ is described in package messengertest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"parley/server/messenger"
	"parley/server/messenger/messengertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "messengersim:", err)
		os.Exit(1)
	}
}

// settings are the command's flags.
type settings struct {
	addr, appID, appSecret string
	callback, verifyToken  string
	deauthorize, deletion  string
	redirects, roles       []string
	development, subscribe bool
	pages                  []messengertest.Page
	users                  []user
	customers              int
	every                  time.Duration
}

// user is somebody who logs in, and what they may do on pages.
type user struct {
	messengertest.User
	pages []string // ids
	roles []messengertest.Role
}

// parseUser reads id:name:pages, where pages are ids with commas between, each with =TASK+TASK or @portfolio behind it.
func parseUser(value string) (user, error) {
	id, rest, _ := strings.Cut(value, ":")
	last := strings.LastIndex(rest, ":")
	if id == "" || last < 0 {
		return user{}, errors.New("a user is id:name:page,page=TASK+TASK,page@portfolio")
	}
	u := user{User: messengertest.User{ID: id, Name: rest[:last]}}
	for _, one := range strings.FieldsFunc(rest[last+1:], func(r rune) bool { return r == ',' }) {
		var role messengertest.Role
		one, role.Portfolio, _ = strings.Cut(one, "@")
		page, tasks, limited := strings.Cut(one, "=")
		if limited {
			role.Tasks = strings.Split(tasks, "+")
		}
		u.pages, u.roles = append(u.pages, page), append(u.roles, role)
	}
	return u, nil
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("messengersim", flag.ContinueOnError)
	flags.StringVar(&s.addr, "addr", "localhost:9090", "address to serve on")
	flags.StringVar(&s.appID, "app-id", "1517776481860111", "id of the Facebook app")
	flags.StringVar(&s.appSecret, "app-secret", "app-secret", "secret of the Facebook app")
	flags.StringVar(&s.callback, "callback", "", "URL for webhooks, verified at start; empty: set later")
	flags.StringVar(&s.verifyToken, "verify-token", "verify-token", "token for the verification of the callback")
	flags.IntVar(&s.customers, "customers", 0, "customers per page who keep writing")
	flags.DurationVar(&s.every, "every", 5*time.Second, "time between two of their messages")
	flags.BoolVar(&s.subscribe, "subscribe", true, "subscribe the pages to the app at start; false: a login does")
	flags.BoolVar(&s.development, "development", false, "the app is not live: only users with a -role can log in")
	flags.Func("role", "id of a user with a role on the app; may be repeated", func(value string) error {
		s.roles = append(s.roles, value)
		return nil
	})
	flags.StringVar(&s.deauthorize, "deauthorize", "", "URL that is told of users who remove the app")
	flags.StringVar(&s.deletion, "deletion", "", "URL that is told of users who want their data deleted")
	flags.Func("redirect", "URL that logins may return to; may be repeated; none: anywhere", func(value string) error {
		s.redirects = append(s.redirects, value)
		return nil
	})
	flags.Func("user", "somebody who logs in, as id:name:pages; pages are ids with commas between, each may have =TASK+TASK "+
		"(else all tasks) and then @portfolio behind it; may be repeated", func(value string) error {
		u, err := parseUser(value)
		s.users = append(s.users, u)
		return err
	})
	flags.Func("page", "a page as id:token:name, without token one is made; may be repeated", func(value string) error {
		id, rest, _ := strings.Cut(value, ":")
		token, name, ok := strings.Cut(rest, ":")
		if !ok {
			return errors.New("a page is id:token:name")
		}
		s.pages = append(s.pages, messengertest.Page{ID: id, Token: token, Name: name})
		return nil
	})
	err := flags.Parse(args)
	return s, err
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	sim := messengertest.New(messengertest.Options{Keep: 1000})
	defer sim.Close()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer server.Close()
	pages, err := s.populate(ctx, sim)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Graph API on http://%s\n", listener.Addr())
	if s.customers > 0 {
		chatter := messengertest.Chatter{Graph: sim, Pages: pages, Customers: s.customers, Every: s.every}
		go chatter.Run(ctx)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func (s settings) populate(ctx context.Context, sim *messengertest.Graph) ([]*messengertest.Page, error) {
	app := sim.AddApp(messengertest.App{ID: s.appID, Secret: s.appSecret, Name: "Parley", RedirectURIs: s.redirects,
		Development: s.development, Roles: s.roles, DeauthorizeURL: s.deauthorize, DeletionURL: s.deletion})
	var pages []*messengertest.Page
	byID := map[string]*messengertest.Page{}
	for _, p := range s.pages {
		page := sim.AddPage(p)
		if s.subscribe {
			page.Subscribe(app.ID, messenger.SubscribedFields()...)
		}
		pages, byID[page.ID] = append(pages, page), page
	}
	for _, u := range s.users {
		who := sim.AddUser(u.User)
		for i, id := range u.pages {
			if byID[id] == nil {
				return nil, fmt.Errorf("user %s manages page %s, which no -page describes", who.ID, id)
			}
			who.Manages(byID[id], u.roles[i])
		}
	}
	if s.callback == "" {
		return pages, nil
	}
	if err := sim.SetCallback(ctx, app.ID, s.callback, s.verifyToken); err != nil {
		return nil, fmt.Errorf("the callback was not verified: %w", err)
	}
	return pages, nil
}
