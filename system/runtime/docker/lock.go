package docker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ordbench/ordbench/system"
)

// lockNotAvailable is how PostgreSQL says that somebody else has it.
const lockNotAvailable = "55P03"

// HoldLock locks every table of a service's database against writers, in a
// transaction that is not ended; readers go on. If this process dies, the
// server ends the transaction with its connection.
func (f *fleet) HoldLock(ctx context.Context, c system.Component) (detail string, release func() error, err error) {
	dsn := ""
	for _, r := range f.replicas {
		if r.Component == system.Database {
			dsn = f.databaseURL(r.Addr, string(c))
		}
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", nil, err
	}
	fail := func(err error) (string, func() error, error) { return "", nil, errors.Join(err, db.Close()) }
	tables, err := tablesOf(ctx, db)
	if err != nil {
		return fail(err)
	}
	// The transaction outlives ctx.
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fail(err)
	}
	list := strings.Join(tables, ", ")
	if _, err := tx.ExecContext(ctx, "LOCK TABLE "+list+" IN EXCLUSIVE MODE"); err != nil {
		return fail(errors.Join(err, tx.Rollback()))
	}
	var refused *pgconn.PgError
	if err := tryToWrite(ctx, db, tables[0]); !errors.As(err, &refused) || refused.Code != lockNotAvailable {
		return fail(errors.Join(fmt.Errorf("somebody else may write too: %w", err), tx.Rollback()))
	}
	return fmt.Sprintf("%d tables of %s are locked: another writer is told so", len(tables), c),
		func() error {
			err := tx.Rollback()
			return errors.Join(err, db.Close())
		}, nil
}

// tablesOf are the tables of a database, quoted.
func tablesOf(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var schema, table string
		if err := rows.Scan(&schema, &table); err != nil {
			return nil, err
		}
		tables = append(tables, pgx.Identifier{schema, table}.Sanitize())
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, errors.New("there are no tables to lock")
	}
	return tables, nil
}

// tryToWrite asks for the lock that every writer needs, and gives it back.
func tryToWrite(ctx context.Context, db *sql.DB, table string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "LOCK TABLE "+table+" IN ROW EXCLUSIVE MODE NOWAIT")
	return errors.Join(err, tx.Rollback())
}
