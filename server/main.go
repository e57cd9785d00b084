// Command server is Parley: `server` serves, `server demo` shows it working with
// a simulated Facebook, `server migrate` only brings the database up to date,
// `server rotate` makes a new signing key and seals secrets again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"parley/server/app"
	"parley/server/config"
	"parley/server/demo"
	"parley/server/memory"
	"parley/server/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const usage = `server [serve] [flags]   serves
server demo [flags]      shows Parley working with a simulated Facebook
server migrate [flags]   brings the database up to date
server rotate [flags]    makes a new signing key for access tokens, and seals again what an old secret key sealed

`

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	command := "serve"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	c, err := config.Load(args, environ)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage, config.Table())
	}
	if err != nil {
		return err
	}
	log := logger(c)
	switch command {
	case "serve":
		return serve(ctx, c, log, out)
	case "demo":
		return demo.Run(ctx, c, log, out)
	case "migrate":
		return migrate(ctx, c, out)
	case "rotate":
		return app.RotateKeys(ctx, app.Options{Config: c, Log: log})
	}
	return fmt.Errorf("there is no command %q: it is serve, demo, migrate or rotate", command)
}

func logger(c config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

func serve(ctx context.Context, c config.Config, log *slog.Logger, out io.Writer) error {
	memory.Tune(log)
	a, err := app.New(ctx, app.Options{Config: c, Log: log})
	if err != nil {
		return err
	}
	defer a.Close()
	if first := a.FirstAdmin; first != nil {
		fmt.Fprintf(out, "First start. Administrator: %s\n", first.Email)
		if first.Password != "" {
			fmt.Fprintf(out, "Password, shown only now: %s\n", first.Password)
		}
	}
	log.Info("serving", "address", a.Addr(), "config", c)
	return a.Run(ctx)
}

func migrate(ctx context.Context, c config.Config, out io.Writer) error {
	s, err := store.Open(ctx, c.Database())
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "The database is up to date.")
	return nil
}
