package local

import (
	"context"
	"database/sql"
	"fmt"
	"runtime/debug"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/store"
)

// Database opens the database of a service for reading only. It can be
// read while the service writes, and while the service is down.
func (f *fleet) Database(ctx context.Context, c system.Component) (*sql.DB, error) {
	db, err := store.OpenReader(ctx, f.databasePath(c))
	if err != nil {
		return nil, fmt.Errorf("the database of %s: %w", c, err)
	}
	return db, nil
}

// Infrastructure names what is embedded, as this binary was built with it.
func (f *fleet) Infrastructure(ctx context.Context) map[string]string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	found := map[string]string{}
	for _, dep := range build.Deps {
		switch dep.Path {
		case "github.com/twmb/franz-go/pkg/kfake":
			found["broker"] = "kfake " + dep.Version
		case "github.com/alicebob/miniredis/v2":
			found["cache"] = "miniredis " + dep.Version
		case "modernc.org/sqlite":
			found["database"] = "SQLite, modernc.org/sqlite " + dep.Version
		}
	}
	if f.server != nil {
		found["database"] = f.server.version(ctx)
	}
	return found
}
