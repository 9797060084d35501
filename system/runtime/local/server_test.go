package local

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/store/storetest"
)

// on is a configuration whose books are on a server.
func on(s *storetest.Server, dir string) system.Config {
	cfg := system.DefaultConfig()
	cfg.Dir, cfg.LogDir = dir, dir
	cfg.Database.URL = s.URL()
	return cfg
}

func TestEachStackHasItsOwnDatabasesOnAServer(t *testing.T) {
	pg := storetest.Private(t)
	names := func() []string {
		t.Helper()
		s := &server{}
		var err error
		if s.db, err = sql.Open("pgx", pg.URL()); err != nil {
			t.Fatal(err)
		}
		defer s.db.Close()
		found, err := s.databases(t.Context(), databaseMark)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	var fleets []system.Fleet
	for range 2 {
		f, err := Runtime{}.Boot(t.Context(), on(pg, t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		fleets = append(fleets, f)
	}
	if n := len(names()); n != 8 {
		t.Errorf("two stacks have %d databases: %v", n, names())
	}
	db, err := fleets[0].Database(t.Context(), system.Payment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE x (y int)"); err == nil {
		t.Error("an audit wrote")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	for i, f := range fleets {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if n, want := len(names()), 4*(1-i); n != want {
			t.Errorf("%d databases after %d of 2 stacks are gone, want %d", n, i+1, want)
		}
	}
}

// Nothing else removes a database with a prepared transaction in it, and the
// stack that made it may have been killed.
func TestWhatAKilledStackLeftOnAServerIsRemoved(t *testing.T) {
	pg := storetest.Private(t)
	s, err := openServer(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	left, err := sql.Open("pgx", s.database(system.Payment))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := left.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"CREATE TABLE x (y int)", "BEGIN", "INSERT INTO x VALUES (1)", "PREPARE TRANSACTION 'promised'"} {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(conn.Close(), left.Close()); err != nil {
		t.Fatal(err)
	}
	databases, err := s.databases(t.Context(), s.name)
	if err != nil || len(databases) != 4 {
		t.Fatalf("databases %v, %v", databases, err)
	}
	// Its session ends with it, and its lock with the session.
	if err := errors.Join(s.lock.Close(), s.db.Close()); err != nil {
		t.Fatal(err)
	}
	next, err := openServer(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := next.close(); err != nil {
			t.Error(err)
		}
	}()
	all, err := next.databases(context.Background(), databaseMark)
	if err != nil || len(all) != 4 || slices.ContainsFunc(all, func(d string) bool { return slices.Contains(databases, d) }) {
		t.Errorf("databases %v, %v; want those of the second stack only", all, err)
	}
}

// A server that is started again has forgotten every lock. Whose services are
// connected is alive all the same.
func TestAStackWithoutItsLockIsLeftAloneWhileItIsConnected(t *testing.T) {
	pg := storetest.Private(t)
	s, err := openServer(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	service, err := sql.Open("pgx", s.database(system.Order))
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Ping(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.lock.ExecContext(t.Context(), `SELECT pg_advisory_unlock_all()`); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{8, 4} { // the second time the service is gone
		next, err := openServer(t.Context(), pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		if all, err := next.databases(t.Context(), databaseMark); err != nil || len(all) != want {
			t.Errorf("%d databases, %v; want %d", len(all), err, want)
		}
		if err := errors.Join(service.Close(), next.close()); err != nil {
			t.Error(err)
		}
		for guests := 1; guests > 0; { // the server says goodbye a moment later
			err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = $1`, s.name+"_order").Scan(&guests)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestTwoPhasesNeedAServer(t *testing.T) {
	cfg := system.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.LogDir, cfg.Consistency = cfg.Dir, system.Consistency2PC
	if _, err := (Runtime{}).Boot(t.Context(), cfg); !errors.Is(err, ErrNoServer) {
		t.Errorf("%v, want ErrNoServer", err)
	}
}
