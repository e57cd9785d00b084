// Command messengersim serves the simulated Graph API on its own, for scripts and for trying Parley out by hand:
//
//	go run ./server/messenger/messengersim -page 101234567890123:PAGE-TOKEN:"Demo page" \
//	    -callback http://localhost:8080/webhooks/facebook -verify-token secret -customers 5 -every 3s
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
	pages                  []messengertest.Page
	customers              int
	every                  time.Duration
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
	flags.Func("page", "a page as id:token:name, subscribed to the app; may be repeated", func(value string) error {
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
	fmt.Fprintf(out, "Graph API on http://%s\n", listener.Addr())

	pages, err := s.populate(ctx, sim)
	if err != nil {
		return err
	}
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
	app := sim.AddApp(messengertest.App{ID: s.appID, Secret: s.appSecret, Name: "Parley"})
	var pages []*messengertest.Page
	for _, p := range s.pages {
		page := sim.AddPage(p)
		page.Subscribe(app.ID, messenger.SubscribedFields()...)
		pages = append(pages, page)
	}
	if s.callback == "" {
		return pages, nil
	}
	if err := sim.SetCallback(ctx, app.ID, s.callback, s.verifyToken); err != nil {
		return nil, fmt.Errorf("the callback was not verified: %w", err)
	}
	return pages, nil
}
