// Command filldb fills a database, a postgres:// URL or the path of a SQLite
// file, with made-up chats to measure on:
//
//	go run ./server/filled/filldb -db postgres://localhost/parley -chats 100000 -messages 25
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"parley/server/filled"
	"parley/server/globalid"
	"parley/server/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var size filled.Size
	location := flag.String("db", "", "postgres:// URL or path of a SQLite file")
	flag.IntVar(&size.Channels, "channels", 10, "channels")
	flag.IntVar(&size.Queues, "queues", 20, "queues")
	flag.IntVar(&size.Operators, "operators", 200, "operators, all of them in every queue")
	flag.IntVar(&size.Chats, "chats", 100_000, "chats")
	flag.IntVar(&size.Open, "open", 1000, "open chats of each queue")
	flag.IntVar(&size.Messages, "messages", 25, "messages of each chat")
	flag.Parse()
	if err := fill(ctx, *location, size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fill(ctx context.Context, location string, size filled.Size) error {
	began := time.Now()
	s, err := store.Open(ctx, location)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if err := filled.Fill(ctx, s, size); err != nil {
		return err
	}
	fmt.Printf("%d messages in %v.\nThe API's ids end in the number of the row and a zero; the last ones: %v, %v\n", size.Chats*size.Messages, time.Since(began).Round(time.Second),
		globalid.Of("queue", filled.Row(size.Queues-1)), globalid.Of("chat", filled.Row(size.Chats-1)))
	return nil
}
