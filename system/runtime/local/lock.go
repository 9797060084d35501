package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/store"
)

// HoldLock begins a write in the database of a service and does not end it.
func (f *fleet) HoldLock(ctx context.Context, c system.Component) (detail string, release func() error, err error) {
	path := f.databasePath(c)
	// The services take turns before they ask SQLite. Whoever does not stand
	// in line with them would hardly ever find the file free.
	turn, err := store.OpenTurnstile(path)
	if err != nil {
		return "", nil, err
	}
	if err := turn.Lock(); err != nil {
		return "", nil, errors.Join(err, turn.Close())
	}
	holder, err := begin(ctx, path, 10_000)
	if err := errors.Join(err, turn.Close()); err != nil {
		return "", nil, err
	}
	if other, err := begin(ctx, path, 0); err == nil {
		return "", nil, errors.Join(errors.New("somebody else got the lock too"), other(), holder())
	} else if !strings.Contains(err.Error(), "locked") {
		return "", nil, errors.Join(err, holder())
	}
	return fmt.Sprintf("the write lock of %s is held: another writer is told that it is locked", filepath.Base(path)), holder, nil
}

// begin begins a write transaction that rollback ends.
func begin(ctx context.Context, path string, waitMS int) (rollback func() error, err error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: fmt.Sprintf("mode=rw&_pragma=busy_timeout(%d)", waitMS)}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return func() error {
		_, err := db.ExecContext(context.Background(), "ROLLBACK")
		return errors.Join(err, db.Close())
	}, nil
}
