package local

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"

	"github.com/ordbench/ordbench/system"
)

// server is a PostgreSQL server that was there before, with a database of the
// stack for each service. The stack holds a lock on its name for as long as it
// lives, so that another can tell what a killed one has left, and remove it.
type server struct {
	url  *url.URL
	name string    // of the stack on the server: its databases begin with it
	db   *sql.DB   // of who makes and removes databases
	lock *sql.Conn // its session has the lock
}

const (
	serverLimit  = 30 * time.Second
	databaseMark = "ordbench_stack_" // what the name of every stack begins with
	tryLock      = `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`
)

// openServer makes the databases of a stack, and removes those of stacks whose
// owner is dead.
func openServer(ctx context.Context, address string) (_ *server, err error) {
	ctx, cancel := context.WithTimeout(ctx, serverLimit)
	defer cancel()
	at, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("system.database.url is no URL")
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &server{url: at, name: databaseMark + hex.EncodeToString(id[:])}
	defer func() {
		if err != nil {
			err = fmt.Errorf("the PostgreSQL server of system.database.url: %w", errors.Join(err, s.close()))
		}
	}()
	if s.db, err = sql.Open("pgx", address); err != nil {
		return nil, err
	}
	if s.lock, err = s.db.Conn(ctx); err != nil {
		return nil, err
	}
	var free bool
	if err := s.lock.QueryRowContext(ctx, tryLock, s.name).Scan(&free); err != nil {
		return nil, err
	}
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
	for _, c := range system.Bookkeepers() {
		if _, err := s.db.ExecContext(ctx, "CREATE DATABASE "+pgx.Identifier{s.name + "_" + string(c)}.Sanitize()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// database is the URL of the database of a service.
func (s *server) database(c system.Component) string { return s.at(s.name + "_" + string(c)) }

func (s *server) at(database string) string {
	u := *s.url
	u.Path = "/" + database
	return u.String()
}

// sweep removes what dead stacks have left.
func (s *server) sweep(ctx context.Context) error {
	databases, err := s.databases(ctx, databaseMark)
	if err != nil {
		return err
	}
	for _, d := range databases {
		stack := d[:strings.LastIndexByte(d, '_')]
		if stack == s.name {
			continue
		}
		if err := s.sweepOne(ctx, stack, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) sweepOne(ctx context.Context, stack, database string) error {
	var dead bool
	if err := s.lock.QueryRowContext(ctx, tryLock, stack).Scan(&dead); err != nil || !dead {
		return err
	}
	// A server that was started again has forgotten the locks, but who lives has
	// come back to it.
	var guests int
	err := s.lock.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, $1)`, stack+"_").Scan(&guests)
	if err == nil && guests == 0 {
		err = s.drop(ctx, database)
	}
	_, unlock := s.lock.ExecContext(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, stack)
	return errors.Join(err, unlock)
}

// databases lists those whose names begin with a text.
func (s *server) databases(ctx context.Context, prefix string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT datname FROM pg_database WHERE starts_with(datname, $1)`, prefix)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// drop removes a database, with what is prepared in it: no other force removes
// that, and it would keep the database.
func (s *server) drop(ctx context.Context, name string) error {
	db, err := sql.Open("pgx", s.at(name))
	if err != nil {
		return err
	}
	err = rollBackPrepared(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("remove database %s: %w", name, err)
	}
	if _, err := s.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("remove database %s: %w", name, err)
	}
	return nil
}

func rollBackPrepared(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT 'ROLLBACK PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts WHERE database = current_database()`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var statements []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return err
		}
		statements = append(statements, s)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// close removes the databases of the stack.
func (s *server) close() error {
	if s == nil || s.db == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverLimit)
	defer cancel()
	var problems []error
	if s.lock != nil {
		databases, err := s.databases(ctx, s.name+"_")
		problems = append(problems, err)
		for _, d := range databases {
			problems = append(problems, s.drop(ctx, d))
		}
		problems = append(problems, s.lock.Close())
	}
	return errors.Join(append(problems, s.db.Close())...)
}

// version is what the server says that it is.
func (s *server) version(ctx context.Context) string {
	var version string
	if s.db.QueryRowContext(ctx, `SHOW server_version`).Scan(&version) != nil {
		return "PostgreSQL, version unknown"
	}
	version, _, _ = strings.Cut(version, " ")
	return fmt.Sprintf("PostgreSQL %s (%s)", version, s.url.Host)
}
