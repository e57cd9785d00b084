package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"parley/ent/migrations"
)

// Migrate brings the tables up to date. Replicas that start together wait for
// the first of them.
func (s *Store) Migrate(ctx context.Context) error {
	db, folder, dialect := s.DB, "postgres", goose.DialectPostgres
	options := []goose.ProviderOption{}
	if s.Postgres() {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	} else {
		// A table rebuilt with foreign keys on deletes the rows that refer to it,
		// without an error: migrate on a handle of its own without them.
		plain, err := sql.Open("sqlite", sqliteDSN(s.URL, false))
		if err != nil {
			return err
		}
		defer plain.Close()
		db, folder, dialect = plain, "sqlite", goose.DialectSQLite3
	}
	files, err := fs.Sub(migrations.FS, folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if s.Postgres() {
		return nil
	}
	return checkForeignKeys(ctx, db)
}

func checkForeignKeys(ctx context.Context, db *sql.DB) error {
	var table string
	err := db.QueryRowContext(ctx, "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1").Scan(&table)
	if err == sql.ErrNoRows {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("migrate: table %s refers to rows that are gone", table)
}
