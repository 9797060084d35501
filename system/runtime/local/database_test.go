package local

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ordbench/ordbench/system"
)

func TestDatabaseIsReadBesideAWriterAndNeverWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a dir? with #signs%20")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fleet, err := fleetOf("idle", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	if _, err := fleet.Database(t.Context(), system.Order); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a database that is not there: %v", err)
	}
	writer, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "made.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	writer.SetMaxOpenConns(1)
	made := filepath.Join(dir, "data", "order.db")
	for _, q := range []string{
		"PRAGMA journal_mode = WAL", "CREATE TABLE orders (id TEXT)", "VACUUM INTO '" + made + "'",
		"ATTACH '" + made + "' AS made", "PRAGMA made.journal_mode = WAL", "INSERT INTO made.orders VALUES ('a')",
	} {
		if _, err := writer.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	db, err := fleet.Database(t.Context(), system.Order)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	count := func() (n int) {
		if err := db.QueryRow("SELECT count(*) FROM orders").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	if _, err := writer.Exec("INSERT INTO made.orders VALUES ('b')"); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	if _, err := db.Exec("INSERT INTO orders VALUES ('c')"); err == nil {
		t.Error("an audit wrote")
	}
}
