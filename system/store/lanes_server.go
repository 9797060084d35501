package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The advisory locks of lanes have two numbers: this one, and the lane or
// the one under which publishers are counted.
const (
	laneClass  = 0x6f72_6462 // "ordb"
	memberLock = 1000
)

// serverLanesLimit is how long one answer about lanes may take.
const serverLanesLimit = 5 * time.Second

// serverLanes are advisory locks of one session. With the session all of them
// are lost.
type serverLanes struct {
	cfg  *pgx.ConnConfig
	conn *pgx.Conn
}

func (l *serverLanes) join(ctx context.Context) error {
	return l.ask(ctx, nil, `SELECT pg_try_advisory_lock_shared($1, $2)`, laneClass, memberLock)
}

// look asks once about all: to try each lane would be a question a lane.
func (l *serverLanes) look(ctx context.Context) (members int, taken []int, err error) {
	var locked []int64
	err = l.ask(ctx, &locked, `SELECT array_agg(objid::bigint) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid = $1::bigint AND objsubid = 2`, laneClass)
	for _, lock := range locked {
		if lock == memberLock {
			members++
		} else {
			taken = append(taken, int(lock))
		}
	}
	return members, taken, err
}

func (l *serverLanes) try(ctx context.Context, lane int) (mine bool, err error) {
	err = l.ask(ctx, &mine, `SELECT pg_try_advisory_lock($1, $2)`, laneClass, lane)
	return mine, err
}

func (l *serverLanes) release(ctx context.Context, lane int) error {
	return l.ask(ctx, nil, `SELECT pg_advisory_unlock($1, $2)`, laneClass, lane)
}

func (l *serverLanes) leave(ctx context.Context) error {
	return l.ask(ctx, nil, `SELECT pg_advisory_unlock_shared($1, $2)`, laneClass, memberLock)
}

func (l *serverLanes) close() error {
	l.drop()
	return nil
}

// ask puts one question to the session, and ends it without an answer.
func (l *serverLanes) ask(ctx context.Context, answer any, q string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, serverLanesLimit)
	defer cancel()
	if l.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, l.cfg)
		if err != nil {
			return err
		}
		l.conn = conn
	}
	if answer == nil {
		answer = new(bool)
	}
	err := l.conn.QueryRow(ctx, q, args...).Scan(answer)
	if err != nil {
		l.drop()
	}
	return err
}

// drop ends the session: the server frees what it held.
func (l *serverLanes) drop() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverLanesLimit)
	defer cancel()
	_ = l.conn.Close(ctx) // one way or another it is over
	l.conn = nil
}
