package store

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// claims are the words that callers of this process hold.
type claims struct {
	mu    sync.Mutex
	words map[string]struct{}
	locks *os.File // one byte for each word; nil on a server
}

// claimed is what SQL says where a row is written only for who has claimed a
// word: INSERT INTO t (..) SELECT ?, .. WHERE claimed(?).
const claimed = "claimed(?)"

// Claim takes a word for one caller, at once or not at all: mine is false
// while another caller has it. It costs no commit and no question to a
// server, and nobody has to clean up after a process that dies: the claim is
// gone with it.
//
// In a file it is among all processes that have the file open, as a lock on
// one byte of a file beside it. On a server it is among the callers of this
// process, and the rest is done where the row is written: claimed(?) in SQL is
// true for one transaction at a time, and does not wait. In a file that is
// always true.
func (db *DB) Claim(word string) (release func(), mine bool, err error) {
	c := &db.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.words[word]; taken {
		return nil, false, nil
	}
	if mine, err = c.lock(word, unix.F_WRLCK); err != nil || !mine {
		return nil, false, err
	}
	c.words[word] = struct{}{}
	return func() { c.release(word) }, true, nil
}

func (c *claims) release(word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.words, word)
	_, _ = c.lock(word, unix.F_UNLCK) // only an argument that makes no sense fails
}

// lock locks or unlocks the byte of a word. It is not ok if another process
// has it.
func (c *claims) lock(word string, how int16) (ok bool, err error) {
	if c.locks == nil {
		return true, nil
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, word) // a hash takes everything
	if ok, err = lockByte(c.locks, int64(h.Sum64()>>2), how); err != nil {
		err = fmt.Errorf("claim %q: %w", word, err)
	}
	return ok, err
}

func (c *claims) close() error {
	if c.locks == nil {
		return nil
	}
	return c.locks.Close()
}

// held writes claimed in the words of SQLite, where the lock says it all.
var held = strings.NewReplacer(claimed, "(? IS NOT NULL)")

// tried writes claimed in the words of PostgreSQL.
var tried = strings.NewReplacer(claimed, "pg_try_advisory_xact_lock(hashtextextended(?, 0))")
