// Package storetest gives tests databases: Path is a new one, of the kind that
// the caller names. Tests that have to hold for every kind run under Each.
//
// PostgreSQL comes from the server that ORDBENCH_TEST_POSTGRES names, a
// postgres:// URL of a user who may create databases; without it from a private
// one, where its programs are installed. If there is neither, the tests that
// need it are skipped, saying so; under ORDBENCH_REQUIRE_DOCKER=1, where
// nothing may be skipped, they fail.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver, registered as "pgx"
)

// Kinds of databases.
const (
	SQLite     = "sqlite"
	PostgreSQL = "postgres"
)

// Each runs fn for every kind of database, as a subtest named after it.
func Each(t *testing.T, fn func(t *testing.T, kind string)) {
	for _, kind := range []string{SQLite, PostgreSQL} {
		t.Run(kind, func(t *testing.T) { fn(t, kind) })
	}
}

// Path is a new and empty database, in the words of store.Config. It is gone
// after the test.
func Path(t testing.TB, kind string) string {
	t.Helper()
	if kind == SQLite {
		return filepath.Join(t.TempDir(), "test.db")
	}
	return shared(t).Database(t)
}

// the is the server that the tests of one program share.
var the struct {
	sync.Mutex
	*Server
	err error
}

// Main runs the tests and ends the server that they may have started; call it
// as os.Exit(storetest.Main(m)).
func Main(m *testing.M) int {
	code := m.Run()
	the.Lock()
	defer the.Unlock()
	if the.Server != nil {
		if err := the.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}

func shared(t testing.TB) *Server {
	t.Helper()
	the.Lock()
	defer the.Unlock()
	if address := os.Getenv("ORDBENCH_TEST_POSTGRES"); address != "" && the.Server == nil {
		the.Server = &Server{url: address}
	}
	if the.Server == nil && the.err == nil {
		the.Server, the.err = start()
	}
	if the.err != nil {
		Skip(t, "PostgreSQL: "+the.err.Error())
	}
	return the.Server
}

// Skip skips a test for want of something, or fails it where nothing may be
// skipped.
func Skip(t testing.TB, want string) {
	t.Helper()
	if os.Getenv("ORDBENCH_REQUIRE_DOCKER") == "1" {
		t.Fatalf("%s, and ORDBENCH_REQUIRE_DOCKER is set", want)
	}
	t.Skip(want)
}

// databases numbers those of this process.
var databases atomic.Int64

// Database is a new and empty database of s. It is gone after the test.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("ordbench_test_%d_%d", os.Getpid(), databases.Add(1))
	if err := s.admin(t.Context(), `CREATE DATABASE `+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.admin(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Logf("drop %s: %v", name, err)
		}
	})
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func (s *Server) admin(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
