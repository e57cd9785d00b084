// Package app owns the program as a value: it wires the parts, starts them in
// order, serves, and stops them in reverse. Several Apps can live in one
// process. New, Run and Close are called once each, in this order; Addr any
// time after New.
//
// Invariant: when Run returns, everything that was answered is stored, every
// client was told to come again, and nothing runs any more.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parley/graph"
	"parley/server/audit"
	"parley/server/auth"
	"parley/server/channels"
	"parley/server/config"
	"parley/server/desk"
	"parley/server/edge"
	"parley/server/graphiql"
	"parley/server/ingest"
	"parley/server/messenger"
	"parley/server/seal"
	"parley/server/sender"
	"parley/server/settings"
	"parley/server/store"
	"parley/server/work"
)

// Options are what an App needs beside its configuration; zero values do.
type Options struct {
	Config config.Config
	Now    func() time.Time
	Timing edge.Timing
	Log    *slog.Logger
	// Open opens the database; nil is store.Open. A test puts a counter there.
	Open func(context.Context, string) (*store.Store, error)
}

// App is one replica.
type App struct {
	Desk     *desk.Desk
	Auth     *auth.Service
	Channels *channels.Channels
	Settings *settings.Settings
	// FirstAdmin says how to sign in after the very first start; its password is
	// empty if it was given, and nil at later starts.
	FirstAdmin *auth.Credentials
	// Explorer is what GraphiQL opens with. It may be set until Run.
	Explorer graphiql.Config

	options  Options
	store    *store.Store
	inbox    *ingest.Inbox
	sending  *work.Pool
	profiles *work.Pool
	checks   *work.Pool
	edge     *edge.Edge
	server   *http.Server
	listener net.Listener
	stopping atomic.Bool
}

const (
	refreshTTL      = 30 * 24 * time.Hour
	eventsKept      = 7 * 24 * time.Hour
	housekeeping    = 30 * time.Second
	drainFor        = 10 * time.Second
	checksAtOnce    = 4 // pages that do not answer must not hold up the others
	profilesAtOnce  = 2 // a rush of new customers must hold up neither messages nor answers
	maxRequestHeads = 64 << 10
)

// New opens the database, brings it up to date, wires the parts and listens.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{options: o}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if err = a.open(ctx); err != nil {
		return nil, err
	}
	if a.listener, err = net.Listen("tcp", o.Config.Addr); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if base, any := strings.CutSuffix(a.options.Config.PublicURL, ":0"); any { // any free port, known only now
		a.options.Config.PublicURL = fmt.Sprintf("%s:%d", base, a.listener.Addr().(*net.TCPAddr).Port)
	}
	return a, a.wire(ctx)
}

// RotateKeys makes a new key for access tokens, and seals with the first secret
// key whatever another one has sealed, whether or not replicas are serving: they
// go on with the new key, and know the tokens of the old ones until these end.
func RotateKeys(ctx context.Context, o Options) error {
	a := &App{options: o}
	defer a.Close()
	if err := a.open(ctx); err != nil {
		return err
	}
	box, err := a.openBox()
	if err != nil {
		return err
	}
	if err := a.startAuth(ctx, box); err != nil {
		return err
	}
	if err := a.Auth.Rotate(ctx); err != nil {
		return err
	}
	all, err := settings.Open(ctx, a.store, box, settings.Options{Now: a.options.Now, Log: a.options.Log})
	if err != nil {
		return err
	}
	if err := all.Reseal(ctx); err != nil {
		return err
	}
	d, err := desk.Open(ctx, a.store, desk.Options{Now: a.options.Now, Log: a.options.Log})
	if err != nil {
		return err
	}
	return channels.Reseal(ctx, d, box)
}

// open fills in the defaults, opens the database and brings it up to date.
func (a *App) open(ctx context.Context) (err error) {
	o := &a.options
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Open == nil {
		o.Open = store.Open
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	if a.store, err = o.Open(ctx, o.Config.Database()); err != nil {
		return err
	}
	return a.store.Migrate(ctx)
}

// wire makes the parts, each from those before it.
func (a *App) wire(ctx context.Context) error {
	o, c := a.options, a.options.Config
	box, err := a.openBox()
	if err != nil {
		return err
	}
	if err := a.openSettings(ctx, box); err != nil {
		return err
	}
	if err := a.letIn(ctx, box); err != nil {
		return err
	}
	if err := a.openIdentity(ctx); err != nil {
		return err
	}
	client := &messenger.Client{
		BaseURL: c.GraphURL, DialogURL: c.FacebookURL, Version: c.GraphVersion, Now: o.Now,
		App: func() messenger.App {
			now := a.Settings.Current()
			return messenger.App{ID: now.Text(settings.FacebookAppID), Secret: now.Text(settings.FacebookAppSecret)}
		},
	}
	a.Desk, err = desk.Open(ctx, a.store, desk.Options{
		Limits: desk.Limits{
			SplitText: messenger.SplitText, ReplyWindow: messenger.StandardWindow,
			SimultaneousChats: func() int { return a.Settings.Current().Number(settings.SimultaneousChats) },
			DefaultLanguage:   a.setting(settings.DefaultLanguage),
		},
		WorkAdded: func() { a.sending.Signal(); a.profiles.Signal(); a.checks.Signal() },
		Now:       o.Now, Log: o.Log,
	})
	if err != nil {
		return err
	}
	a.inbox = ingest.New(a.store, a.Desk, ingest.Options{
		AppSecret: a.setting(settings.FacebookAppSecret), VerifyToken: a.setting(settings.FacebookWebhookVerifyToken),
		Now: o.Now, Log: o.Log,
	})
	a.Channels = channels.New(a.store, a.Desk, client, box, channels.Options{
		PublicURL: c.PublicURL, AllowedOrigins: c.AllowedOrigins, Settings: a.Settings, TestIdentityServer: a.Auth.TestIdentityServer,
		Connected: a.inbox.ReplayPage, Now: o.Now, Log: o.Log,
	})
	outgoing := sender.New(a.Desk, a.Channels, client, o.Now, o.Log)
	a.sending = work.New(a.store, work.Options{Now: o.Now, Log: o.Log}, map[string]work.Handler{desk.WorkSend: outgoing.Send})
	a.profiles = work.New(a.store, work.Options{Workers: profilesAtOnce, Now: o.Now, Log: o.Log},
		map[string]work.Handler{desk.WorkProfile: a.Channels.ReadProfile})
	a.checks = work.New(a.store, work.Options{Workers: checksAtOnce, Now: o.Now, Log: o.Log},
		map[string]work.Handler{desk.WorkCheck: a.Channels.RunCheck})
	a.edge = edge.New(edge.Options{
		Resolver: &graph.Resolver{
			Desk: a.Desk, Auth: a.Auth, Channels: a.Channels, Ingest: a.inbox, Settings: a.Settings, Audit: audit.Open(a.store), Log: o.Log,
		},
		Auth: a.Auth, PublicURL: c.PublicURL, AllowedOrigins: c.AllowedOrigins,
		MaxConnections: c.MaxConnections, Timing: o.Timing, Now: o.Now, Log: o.Log,
	})
	a.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxRequestHeads, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return nil
}

// openBox takes the secret key that was given; the embedded database keeps one
// beside itself.
func (a *App) openBox() (*seal.Box, error) {
	key := a.options.Config.SecretKey
	if key == "" {
		var err error
		if key, err = seal.LoadOrCreate(a.options.Config.SecretKeyFile()); err != nil {
			return nil, err
		}
	}
	return seal.New(key)
}

// openSettings reads the settings, and fills in what the environment says where
// nobody has set anything.
func (a *App) openSettings(ctx context.Context, box *seal.Box) (err error) {
	c := a.options.Config
	a.Settings, err = settings.Open(ctx, a.store, box, settings.Options{
		Changed: func() {
			if a.Desk != nil { // else it is what is filled in before there is anybody to tell
				a.Desk.Events().Committed()
			}
		}, Now: a.options.Now, Log: a.options.Log,
	})
	if err != nil {
		return err
	}
	return a.Settings.Fill(ctx, map[settings.Code]string{
		settings.FacebookAppID: c.FacebookAppID, settings.FacebookAppSecret: c.FacebookAppSecret,
		settings.FacebookWebhookVerifyToken: c.FacebookWebhookVerifyToken,
	})
}

// setting gives a setting as it is when it is asked for.
func (a *App) setting(c settings.Code) func() string {
	return func() string { return a.Settings.Current().Text(c) }
}

// letIn starts sign-in, and makes the first administrator.
func (a *App) letIn(ctx context.Context, box *seal.Box) error {
	if err := a.startAuth(ctx, box); err != nil {
		return err
	}
	created, credentials, err := a.Auth.EnsureAdmin(ctx, a.options.Config.AdminEmail, a.options.Config.AdminPassword)
	if created {
		a.FirstAdmin = &credentials
	}
	return err
}

func (a *App) startAuth(ctx context.Context, box *seal.Box) error {
	c := a.options.Config
	a.Auth = auth.New(a.store, box, auth.Options{
		Issuer: c.PublicURL, AccessTTL: c.AccessTokenTTL, RefreshTTL: refreshTTL, Now: a.options.Now, Outside: a.outside,
	})
	return a.Auth.Start(ctx)
}

func (a *App) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/graphql", a.edge)
	mux.Handle(channels.WebhookPath, a.inbox)
	mux.HandleFunc("GET "+channels.CallbackPath, a.Channels.Callback)
	mux.HandleFunc("POST "+channels.DeauthorizePath, a.Channels.Deauthorize)
	mux.HandleFunc("POST "+channels.DeletionPath, a.Channels.DeleteData)
	mux.HandleFunc("GET "+channels.DeletionPath, a.Channels.DeletionStatus)
	mux.HandleFunc(auth.DiscoveryPath, a.Auth.Discovery)
	mux.HandleFunc(auth.KeysPath, a.Auth.Keys)
	mux.HandleFunc(auth.TokenPath, a.Auth.Token)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", a.ready)
	if !a.options.Config.Production {
		mux.Handle("/", graphiql.Handler(a.Explorer))
	}
	return mux
}

// ready says whether this replica should get requests.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if a.stopping.Load() || a.store.DB.PingContext(ctx) != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// Addr is where it listens.
func (a *App) Addr() string { return a.listener.Addr().String() }

// Connections is how many sockets and event streams are open.
func (a *App) Connections() int { return a.edge.Connections() }

// Run serves until the context ends, then drains.
func (a *App) Run(ctx context.Context) error {
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){
		a.Desk.Run, a.Settings.Run, a.Auth.Run, a.inbox.Run, a.sending.Run, a.profiles.Run, a.checks.Run, a.keepHouse,
	} {
		parts.Go(func() { part(working) })
	}
	served := make(chan error, 1)
	a.server.Handler = a.mux()
	go func() { served <- a.server.Serve(a.listener) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	a.drain(ctx)
	stopWorking()
	parts.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// drain ends requests, sockets and streams while the parts still work.
func (a *App) drain(ctx context.Context) {
	a.stopping.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { a.edge.Drain(ctx) })
	both.Go(func() {
		if a.server.Shutdown(ctx) != nil {
			_ = a.server.Close()
		}
	})
	both.Wait()
}

// keepHouse removes, now and then, what has served its time.
func (a *App) keepHouse(ctx context.Context) {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := errors.Join(a.inbox.Housekeeping(ctx), a.Desk.Prune(ctx, eventsKept), a.Auth.Purge(ctx), a.Channels.PurgeLogins(ctx), a.Desk.KeepHeard(ctx))
		if err != nil && ctx.Err() == nil {
			a.options.Log.Error("housekeeping failed, will try again", "error", err)
		}
	}
}

// Close gives back what New took. After Run, or instead of it.
func (a *App) Close() {
	if a.listener != nil {
		_ = a.listener.Close()
	}
	if a.store != nil {
		_ = a.store.Close()
	}
}
