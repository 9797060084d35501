package local

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/ordbench/ordbench/system"
)

// Database opens the SQLite file of a service for reading only. It can be
// read while the service writes, and while the service is down.
func (f *fleet) Database(ctx context.Context, c system.Component) (*sql.DB, error) {
	path := f.databasePath(c)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the database of %s: %w", c, err)
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open the database of %s: %w", c, err)
	}
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the database of %s: %w", c, err)
	}
	return db, nil
}
