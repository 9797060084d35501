package docker

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/store"
)

const postgresUser = "postgres"

// databaseReady asks the server whether it takes statements; the first time
// that it does, the databases of the services are made.
func (f *fleet) databaseReady(ctx context.Context, addr string) error {
	if f.server == nil {
		db, err := sql.Open("pgx", f.databaseURL(addr, "postgres"))
		if err != nil {
			return err
		}
		db.SetMaxOpenConns(1)
		f.server = db
	}
	if f.databasesMade {
		// A statement, not a ping: that would trust the connection.
		_, err := f.server.ExecContext(ctx, "SELECT 1")
		return err
	}
	for _, c := range system.Bookkeepers() {
		var there bool
		if err := f.server.QueryRowContext(ctx, "SELECT count(*) > 0 FROM pg_database WHERE datname = $1", string(c)).Scan(&there); err != nil {
			return err
		}
		if there {
			continue
		}
		if _, err := f.server.ExecContext(ctx, "CREATE DATABASE "+pgx.Identifier{string(c)}.Sanitize()); err != nil {
			return fmt.Errorf("make the database of %s: %w", c, err)
		}
	}
	f.databasesMade = true
	return nil
}

// Database opens the database of a service for reading only. Each transaction
// sees it as it was at one moment.
func (f *fleet) Database(ctx context.Context, c system.Component) (*sql.DB, error) {
	addr := ""
	for _, r := range f.replicas {
		if r.Component == system.Database {
			addr = r.Addr
		}
	}
	db, err := store.OpenReader(ctx, f.databaseURL(addr, string(c)))
	if err != nil {
		return nil, fmt.Errorf("the database of %s: %w", c, err)
	}
	return db, nil
}
