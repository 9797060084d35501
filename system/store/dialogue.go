package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// dialogue is one transaction with a server. What needs no answer is kept and
// sent along with what does, all at once: a round trip costs more than most
// statements.
type dialogue struct {
	ctx   context.Context // of this transaction
	conn  *sql.Conn
	pool  *sql.DB
	crowd bool         // several callers share the transaction
	alone *atomic.Bool // what scribe.alone is

	begun  bool
	broken bool // the connection is
	kept   []statement
	box    []outgoing
}

type statement struct {
	text string
	args []any
}

// outgoing is an outbox row to be written.
type outgoing struct {
	Message
	at int64
}

// errCrowd ends a transaction that several callers share: one of them wants to
// be alone.
var errCrowd = errors.New("locks rows in the company of others")

const (
	begin        = `BEGIN ISOLATION LEVEL READ COMMITTED`
	insertOutbox = `INSERT INTO outbox (event_id, topic, key, payload, created_at, traceparent, lane)
		SELECT event_id, topic, key, payload, created_at, NULLIF(traceparent, ''), lane
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::bigint[])
			WITH ORDINALITY AS row (event_id, topic, key, payload, created_at, traceparent, lane, place)
		ORDER BY place`
	insertInbox = `INSERT INTO inbox (consumer, event_id) SELECT $1, event_id FROM unnest($2::text[]) AS event_id
		ON CONFLICT (consumer, event_id) DO NOTHING RETURNING event_id`
	markOutbox = `UPDATE outbox SET published_at = $1 WHERE published_at IS NULL AND id = ANY($2::bigint[])`
	lockWord   = `SELECT pg_advisory_xact_lock($1)`
	shareWord  = `SELECT pg_advisory_xact_lock_shared($1)`
)

func (d *dialogue) exec(q string, args []any) (sql.Result, error) {
	tags, err := d.send(nil, statement{server{}.sql(q), args})
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(tags[0].RowsAffected()), nil
}

func (d *dialogue) execEach(q string, args [][]any) ([]int64, error) {
	text, all := server{}.sql(q), make([]statement, len(args))
	for i := range args {
		all[i] = statement{text, args[i]}
	}
	tags, err := d.send(nil, all...)
	if err != nil {
		return nil, err
	}
	changed := make([]int64, len(tags))
	for i := range tags {
		changed[i] = tags[i].RowsAffected()
	}
	return changed, nil
}

func (d *dialogue) later(q string, args []any) error {
	d.kept = append(d.kept, statement{server{}.sql(q), args})
	return nil
}

func (d *dialogue) query(q string, args []any) (*sql.Rows, error) {
	if _, err := d.send(nil); err != nil {
		return nil, err
	}
	rows, err := d.conn.QueryContext(d.ctx, server{}.sql(q), args...)
	return rows, err
}

func (d *dialogue) row(q string, args []any) *sql.Row {
	if _, err := d.send(nil); err != nil {
		return d.refuse(err)
	}
	return d.conn.QueryRowContext(d.ctx, server{}.sql(q), args...)
}

func (d *dialogue) refuse(err error) *sql.Row {
	return d.pool.QueryRowContext(refusal{context.Background(), err}, "")
}

// enqueue keeps m for the end of the transaction, where the rows of all are
// one statement, and where they are numbered after every lock was taken.
func (d *dialogue) enqueue(m Message, at int64) error {
	d.box = append(d.box, outgoing{m, at})
	return nil
}

// firstTimes inserts in one order, so that two who handle the same events do
// not wait for each other in a circle.
func (d *dialogue) firstTimes(consumer string, eventIDs []string) ([]bool, error) {
	ids := slices.Clone(eventIDs)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	added := make(map[string]bool, len(ids))
	_, err := d.send(func(rows pgx.Rows) error {
		var id string
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error { added[id] = true; return nil })
		return err
	}, statement{insertInbox, []any{consumer, ids}})
	if err != nil {
		return nil, err
	}
	first := make([]bool, len(eventIDs))
	for i, id := range eventIDs {
		first[i] = added[id]
		delete(added, id)
	}
	return first, nil
}

func (d *dialogue) lockRows(table, key, column string, keys []string) (map[string]int64, error) {
	d.alone.Store(true)
	if d.crowd {
		return nil, errCrowd
	}
	name, by, of := pgx.Identifier{table}.Sanitize(), pgx.Identifier{key}.Sanitize(), pgx.Identifier{column}.Sanitize()
	held := make(map[string]int64, len(keys))
	_, err := d.send(func(rows pgx.Rows) error {
		var key string
		var value int64
		_, err := pgx.ForEachRow(rows, []any{&key, &value}, func() error { held[key] = value; return nil })
		return err
	}, statement{`SELECT ` + by + `, ` + of + ` FROM ` + name + ` WHERE ` + by + ` = ANY($1) ORDER BY ` + by + ` FOR NO KEY UPDATE`, []any{keys}})
	return held, err
}

func (d *dialogue) markPublished(ids []int64, at int64) error {
	d.kept = append(d.kept, statement{markOutbox, []any{at, ids}})
	return nil
}

func (d *dialogue) exclude(word string) error {
	_, err := d.send(nil, statement{lockWord, []any{advisory(word)}})
	return err
}

// share takes its lock with whatever is sent next.
func (d *dialogue) share(word string) error {
	d.kept = append(d.kept, statement{shareWord, []any{advisory(word)}})
	return nil
}

// advisory is the number that a word has among a server's advisory locks.
func advisory(word string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("ordbench " + word)) // a hash takes everything
	return int64(h.Sum64())
}

// commit sends what was kept, the outbox rows and the commit at once.
func (d *dialogue) commit() error {
	if !d.begun && len(d.kept) == 0 && len(d.box) == 0 {
		return nil // nothing was asked for
	}
	return d.end("COMMIT", "COMMIT")
}

// end sends what was kept, the outbox rows and the statement that ends the
// transaction, to which the server answers with done.
func (d *dialogue) end(last, done string) error {
	if n := len(d.box); n > 0 {
		ids, topics, keys, traces := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		payloads, ats, lanes := make([][]byte, n), make([]int64, n), make([]int64, n)
		for i, m := range d.box {
			ids[i], topics[i], keys[i], traces[i] = m.EventID, m.Topic, m.Key, m.Traceparent
			payloads[i], ats[i], lanes[i] = m.Payload, m.at, int64(laneOf(m.Key))
		}
		d.kept = append(d.kept, statement{insertOutbox, []any{ids, topics, keys, payloads, ats, traces, lanes}})
	}
	tags, err := d.send(nil, statement{text: last})
	var refused *pgconn.PgError
	switch {
	case err == nil && tags[0].String() != done:
		return errors.New("commit: a statement failed, and the server rolled back")
	case err == nil:
		return nil
	case d.broken && !pgconn.SafeToRetry(err):
		return unknown(err)
	case errors.As(err, &refused) && refused.TableName == "outbox" && refused.Code == "23505":
		return fmt.Errorf("outbox: %w: %s", err, refused.Detail)
	}
	return fmt.Errorf("commit: %w", err)
}

// rollback leaves the connection fit for another transaction, or returns an
// error.
func (d *dialogue) rollback() error {
	d.kept = nil
	if !d.begun {
		if d.broken {
			return driver.ErrBadConn
		}
		return nil
	}
	_, err := d.send(nil, statement{text: "ROLLBACK"})
	return err
}

// send sends all that is kept and then last, in one go, and returns what each
// of last did; rows, if it is there, reads what the very last returned.
func (d *dialogue) send(rows func(pgx.Rows) error, last ...statement) ([]pgconn.CommandTag, error) {
	var batch pgx.Batch
	if !d.begun {
		batch.Queue(begin)
	}
	for _, s := range append(mergeInserts(d.kept), last...) {
		batch.Queue(s.text, s.args...)
	}
	d.kept = nil
	if batch.Len() == 0 {
		return nil, nil
	}
	tags := make([]pgconn.CommandTag, batch.Len())
	err := d.conn.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn()
		answers := conn.SendBatch(d.ctx, &batch)
		var err error
		for i := 0; i < len(tags) && err == nil; i++ {
			if i == len(tags)-1 && rows != nil {
				var r pgx.Rows
				if r, err = answers.Query(); err == nil {
					err = rows(r)
				}
				continue
			}
			if tags[i], err = answers.Exec(); err == nil {
				d.begun = true
			}
		}
		if end := answers.Close(); err == nil {
			err = end
		}
		d.broken = conn.IsClosed()
		return err
	})
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		d.broken = true
	}
	return tags[len(tags)-len(last):], err
}
