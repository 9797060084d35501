package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ordbench/ordbench/system/lever"
)

// Branches are the parts that one PostgreSQL database has in transactions
// over several: Prepare promises one, and Commit or Rollback keep or break the
// promise, whoever asks and after whatever crash. From the promise to its end
// the rows that it has written stay locked, and no death of a process or of
// the server ends it: somebody has to decide.
type Branches struct {
	// Who prepares may wait long for a lock, and who has the lock is somebody's
	// promise. Those who end promises must never wait for a connection behind
	// those who wait for that end, so they have connections of their own.
	prepare, finish *sql.DB
	suffix          string // of the names of what is prepared: the server has them all in one list
}

// How many branches of one process are prepared, and ended, at a time.
const (
	preparers = 16
	finishers = 4
)

// ErrNoBranches says that a database can't promise.
var ErrNoBranches = errors.New("two-phase commit needs PostgreSQL with max_prepared_transactions above 0")

// OpenBranches opens the database at path, a postgres:// URL, for a
// participant in transactions over several. A branch is known to the server by
// the transaction and the participant. The error is ErrNoBranches if path is
// a file, or a server that takes no prepared transactions.
func OpenBranches(ctx context.Context, path, participant string) (*Branches, error) {
	if !onServer(path) {
		return nil, fmt.Errorf("open %s: %w", Redact(path), ErrNoBranches)
	}
	cfg, err := configure(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(path), err)
	}
	b := &Branches{prepare: connections(cfg, preparers), finish: connections(cfg, finishers), suffix: "/" + participant}
	var most int
	if err = reach(ctx, b.finish); err == nil {
		err = b.finish.QueryRowContext(ctx, `SELECT current_setting('max_prepared_transactions')::int`).Scan(&most)
	}
	if err == nil && most == 0 {
		err = ErrNoBranches
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(path), errors.Join(err, b.Close()))
	}
	return b, nil
}

// Close lets go of the database. What is prepared stays so. The zero Branches
// has nothing to let go of.
func (b *Branches) Close() error {
	if b == nil || b.prepare == nil {
		return nil
	}
	return errors.Join(b.prepare.Close(), b.finish.Close())
}

// Prepare runs fn and promises what it has done as the branch of a
// transaction, which has one here. After nil it can be committed
// whatever happens. After ErrUnknown it may be prepared or not, and after any
// other error it is not. It ends with ctx, even while it waits for a lock.
func (b *Branches) Prepare(ctx context.Context, transaction string, fn func(*Tx) error) error {
	if err := lever.SlowStore.Delay(ctx); err != nil {
		return err
	}
	if lever.FailStore.Acts() != nil {
		return errRefused
	}
	ctx, cancel := context.WithTimeout(ctx, scribeLimit)
	defer cancel()
	conn, err := b.prepare.Conn(ctx)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", transaction, err)
	}
	defer conn.Close()
	s := &dialogue{ctx: ctx, conn: conn, pool: b.prepare, alone: new(atomic.Bool)}
	tx := &Tx{s: s}
	if err = tx.call(fn); err == nil {
		err = s.end("PREPARE TRANSACTION "+b.name(transaction), "PREPARE TRANSACTION")
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrUnknown) {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), scribeLimit)
		defer cancel()
		s.ctx = undoing
		_ = s.rollback() // a connection that can't even do that is broken, and its transaction with it
	}
	return fmt.Errorf("prepare %s: %w", transaction, err)
}

// Commit makes a branch stand. One that is not there has been ended before, for
// the one who asks again: that is no error.
func (b *Branches) Commit(ctx context.Context, transaction string) error {
	return b.end(ctx, "COMMIT PREPARED ", transaction)
}

// Rollback undoes a branch. One that is not there was never promised, or is
// undone.
func (b *Branches) Rollback(ctx context.Context, transaction string) error {
	return b.end(ctx, "ROLLBACK PREPARED ", transaction)
}

func (b *Branches) end(ctx context.Context, how, transaction string) error {
	_, err := b.finish.ExecContext(ctx, how+b.name(transaction))
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42704" { // there is none of that name
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s%s: %w", strings.ToLower(how), transaction, err)
	}
	return nil
}

// InDoubt is since when which transactions are prepared here, and neither
// committed nor undone.
func (b *Branches) InDoubt(ctx context.Context) (map[string]time.Time, error) {
	rows, err := b.finish.QueryContext(ctx, `SELECT gid, prepared FROM pg_prepared_xacts WHERE database = current_database()`)
	if err != nil {
		return nil, fmt.Errorf("list what is prepared: %w", err)
	}
	defer rows.Close()
	found := map[string]time.Time{}
	for rows.Next() {
		var name string
		var since time.Time
		if err := rows.Scan(&name, &since); err != nil {
			return nil, fmt.Errorf("list what is prepared: %w", err)
		}
		if transaction, ours := strings.CutSuffix(name, b.suffix); ours {
			found[transaction] = since
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list what is prepared: %w", err)
	}
	return found, nil
}

// name is the name of a branch as SQL writes it: these statements take no
// arguments.
func (b *Branches) name(transaction string) string {
	return "'" + strings.ReplaceAll(transaction+b.suffix, "'", "''") + "'"
}
