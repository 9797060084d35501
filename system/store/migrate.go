package store

import (
	"context"
	"fmt"
	"time"
)

// own is what every database has.
var own = []string{
	`CREATE TABLE IF NOT EXISTS outbox (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		event_id TEXT NOT NULL UNIQUE,
		topic TEXT NOT NULL,
		key TEXT NOT NULL,
		payload BLOB NOT NULL,
		created_at INTEGER NOT NULL,
		published_at INTEGER
	)`,
	`CREATE INDEX IF NOT EXISTS outbox_unpublished ON outbox (id) WHERE published_at IS NULL`,
	// Where a traced event comes from, as W3C Trace Context writes it; NULL
	// where tracing is off.
	`ALTER TABLE outbox ADD COLUMN traceparent TEXT`,
	// Which of the Lanes the key of an event is in.
	`ALTER TABLE outbox ADD COLUMN lane INTEGER NOT NULL DEFAULT 0`,
	`CREATE TABLE IF NOT EXISTS inbox (
		consumer TEXT NOT NULL,
		event_id TEXT NOT NULL,
		PRIMARY KEY (consumer, event_id)
	) WITHOUT ROWID`,
}

// Migrate brings the schema up to date: the outbox, the inbox and then every
// statement of schema that this database has not had yet, in order, all or
// none. Statements are known by their text, so one that has been released is
// never edited, only followed by another. Any number of processes may migrate
// at the same time.
func (db *DB) Migrate(ctx context.Context, schema ...string) error {
	err := db.Write(ctx, func(tx *Tx) error {
		if err := tx.s.exclude("migrate"); err != nil {
			return err
		}
		_, err := tx.Exec(db.kind.schema(`CREATE TABLE IF NOT EXISTS migrations (statement TEXT PRIMARY KEY, applied_at INTEGER NOT NULL)`))
		if err != nil {
			return err
		}
		for _, statements := range [][]string{own, schema} {
			for _, s := range statements {
				if err := tx.migrate(s, db.kind.schema(s)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("migrate %s: %w", Redact(db.path), err)
	}
	return nil
}

func (tx *Tx) migrate(statement, run string) error {
	var had int
	err := tx.QueryRow(`SELECT count(*) FROM migrations WHERE statement = ?`, statement).Scan(&had)
	if err != nil || had > 0 {
		return err
	}
	if _, err := tx.Exec(run); err != nil {
		return fmt.Errorf("%w in %q", err, statement)
	}
	_, err = tx.Exec(`INSERT INTO migrations (statement, applied_at) VALUES (?, ?)`, statement, time.Now().UnixMicro())
	return err
}
