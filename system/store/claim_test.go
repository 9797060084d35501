package store

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/ordbench/ordbench/system/store/storetest"
)

func TestClaimIsOneCallers(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		release, mine, err := db.Claim("a")
		if err != nil || !mine {
			t.Fatalf("mine %t, %v", mine, err)
		}
		if _, mine, err := db.Claim("a"); mine || err != nil {
			t.Errorf("claimed twice: %t, %v", mine, err)
		}
		other, mine, err := db.Claim("b")
		if err != nil || !mine {
			t.Fatalf("another word: mine %t, %v", mine, err)
		}
		other()
		release()
		if release, mine, err = db.Claim("a"); err != nil || !mine {
			t.Fatalf("after its release: mine %t, %v", mine, err)
		}
		release()
	})
}

// insertClaimed writes a row if nobody else has claimed its id.
const insertClaimed = `INSERT INTO rows (id, n) SELECT ?, ? WHERE claimed(?) ON CONFLICT (id) DO NOTHING`

// Of two processes that want to write the same row one does, and the other
// knows at once: it neither waits nor writes.
func TestClaimIsOneProcesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		db, other := openAt(t, path), openAt(t, path) // as another process would
		if err := db.Migrate(t.Context(), rowsTable); err != nil {
			t.Fatal(err)
		}
		release, mine, err := db.Claim("a")
		if err != nil || !mine {
			t.Fatalf("mine %t, %v", mine, err)
		}
		write := func(db *DB, inside func() error) (changed int64, err error) {
			err = db.Write(t.Context(), func(tx *Tx) error {
				res, err := tx.Exec(insertClaimed, "a", 1, "a")
				if err != nil {
					return err
				}
				if changed, err = res.RowsAffected(); err != nil {
					return err
				}
				return inside()
			})
			return changed, err
		}
		changed, err := write(db, func() error {
			free, mine, err := other.Claim("a")
			if err != nil || !mine { // of a file
				return err
			}
			defer free()
			n, err := write(other, func() error { return nil })
			if n != 0 {
				err = errors.Join(err, errors.New("written by two"))
			}
			return err
		})
		if err != nil || changed != 1 {
			t.Errorf("%d rows written, %v", changed, err)
		}
		release()
		release, mine, err = other.Claim("a")
		if err != nil || !mine {
			t.Fatalf("after its release: mine %t, %v", mine, err)
		}
		defer release()
		if n, err := write(other, func() error { return nil }); n != 0 || err != nil {
			t.Errorf("%d rows written over another, %v", n, err)
		}
		var n int
		if err := other.QueryRow(t.Context(), `SELECT n FROM rows WHERE id = ?`, "a").Scan(&n); err != nil {
			t.Errorf("%v, want the first row (%v)", err, sql.ErrNoRows)
		}
	})
}

// What a process has claimed in a file is free once it is dead.
func TestClaimDiesWithItsProcess(t *testing.T) {
	path := storetest.Path(t, storetest.SQLite)
	db := openAt(t, path)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envPath+"="+path, envClaim+"=a")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("it did not claim: %v", err)
	}
	if _, mine, err := db.Claim("a"); mine || err != nil {
		t.Errorf("claimed by two: %t, %v", mine, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = cmd.Process.Wait()
	if release, mine, err := db.Claim("a"); err != nil || !mine {
		t.Errorf("after the kill: mine %t, %v", mine, err)
	} else {
		release()
	}
}
