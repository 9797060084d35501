package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Refused tells whether the database refused what it was asked to write, and
// would again: a constraint, a value that does not fit. Whatever else goes
// wrong may be over soon.
func Refused(err error) bool {
	var file *sqlite.Error
	if errors.As(err, &file) {
		switch file.Code() & 0xff {
		case lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG, lib.SQLITE_RANGE:
			return true
		}
		return false
	}
	var server *pgconn.PgError
	// Class 22 is data that does not fit, 23 a constraint.
	return errors.As(err, &server) && (strings.HasPrefix(server.Code, "22") || strings.HasPrefix(server.Code, "23"))
}
