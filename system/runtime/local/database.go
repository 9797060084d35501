package local

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/store"
)

// Database opens the SQLite file of a service for reading only. It can be
// read while the service writes, and while the service is down.
func (f *fleet) Database(ctx context.Context, c system.Component) (*sql.DB, error) {
	db, err := store.OpenReader(ctx, f.databasePath(c))
	if err != nil {
		return nil, fmt.Errorf("the database of %s: %w", c, err)
	}
	return db, nil
}
