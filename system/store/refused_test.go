package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestRefusedIsWhatWouldBeRefusedAgain(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing is wrong", nil, false},
		{"the database is closed", ErrClosed, false},
		{"the commit had no answer", ErrUnknown, false},
		{"a constraint of a server", fmt.Errorf("order: %w", &pgconn.PgError{Code: "23505"}), true},
		{"a number that does not fit", &pgconn.PgError{Code: "22003"}, true},
		{"a deadlock", &pgconn.PgError{Code: "40P01"}, false},
		{"a server that shuts down", &pgconn.PgError{Code: "57P01"}, false},
		{"something else", errors.New("the disk is full"), false},
	} {
		if got := Refused(row.err); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}
