package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// Recover sends what processes that are gone have left in dir, and removes
// what was sent. Processes that are alive are left alone, and any number may
// recover at the same time.
func Recover(dir string, send Send) error {
	paths, err := filepath.Glob(filepath.Join(escape(dir), "*"+suffix))
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	var problems []error
	for _, path := range paths {
		if err := recoverFile(path, send); err != nil {
			problems = append(problems, fmt.Errorf("spool: %s: %w", filepath.Base(path), err))
		}
	}
	return errors.Join(problems...)
}

// escape keeps a directory's own name from being a pattern.
func escape(dir string) string {
	var out []byte
	for i := range len(dir) {
		switch dir[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, dir[i])
	}
	return string(out)
}

func recoverFile(path string, send Send) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else was faster
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lock(f); errors.Is(err, unix.EWOULDBLOCK) {
		return nil // its process is alive
	} else if err != nil {
		return err
	}
	held, heldErr := f.Stat()
	named, namedErr := os.Stat(path)
	if heldErr != nil || namedErr != nil || !os.SameFile(held, named) {
		return nil // it was recovered while this one waited for it
	}
	file, err := io.ReadAll(io.LimitReader(f, fileSize))
	if err != nil {
		return err
	}
	left, err := read(file)
	if err != nil {
		return err
	}
	for _, spans := range left.lists {
		if err := send(head(left.resource, len(spans)), spans); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// estate is what a dead process left.
type estate struct {
	resource []byte
	lists    [][]byte // of spans, each not too long for a request
}

var errNotASpool = errors.New("not a spool")

// read reads the file of a dead process. A span whose slot is taken had begun
// and not ended, unless the process died between its two notes.
func read(file []byte) (estate, error) {
	if len(file) != fileSize || string(file[magicAt:][:len(magic)]) != magic {
		return estate{}, errNotASpool
	}
	size := binary.NativeEndian.Uint32(file[resourceAt:])
	if size > headSize-resourceAt-4 {
		return estate{}, errNotASpool
	}
	left := estate{resource: file[resourceAt+4:][:size]}
	usedTemplates := binary.NativeEndian.Uint64(file[templatesAt:])
	if usedTemplates > templateSize {
		return estate{}, errNotASpool
	}
	templates, err := readTemplates(file[headSize:][:usedTemplates])
	if err != nil {
		return estate{}, err
	}
	ended := map[otlp.SpanID]bool{}
	for half := range 2 {
		used := binary.NativeEndian.Uint64(file[usedAt+8*half:])
		if used > halfSize {
			return estate{}, errNotASpool
		}
		spans := file[halfAt(half):][:used]
		for rest := spans; len(rest) > 0; {
			r, _, n, err := readEntry(rest)
			if err != nil {
				return estate{}, err
			}
			ended[r.ID], rest = true, rest[n:]
		}
		for rest := spans; len(rest) > 0; {
			n, list, err := templates.expand(nil, rest)
			if err != nil {
				return estate{}, err
			}
			left.lists, rest = append(left.lists, list), rest[n:]
		}
	}
	// When it was killed nobody knows; it was alive at the last beat.
	beat := binary.NativeEndian.Uint64(file[beatAt:])
	why := otlp.AppendStatus(otlp.AppendBool(nil, otlp.OfSpan, Interrupted, true), otlp.StatusError, "the process was gone before the span ended")
	var interrupted []byte
	for i := range slots {
		slot := file[slotAt(i):][:slotSize]
		if binary.NativeEndian.Uint32(slot) == 0 {
			continue
		}
		r, own, _, err := readEntry(slot[slotHead:])
		if err != nil {
			return estate{}, err
		}
		if ended[r.ID] {
			continue
		}
		r.End = max(r.Start, beat)
		if interrupted, err = templates.append(interrupted, &r, own, why); err != nil {
			return estate{}, err
		}
		if len(interrupted) > sendSize {
			left.lists, interrupted = append(left.lists, interrupted), nil
		}
	}
	if len(interrupted) > 0 {
		left.lists = append(left.lists, interrupted)
	}
	return left, nil
}

// readTemplates reads templates, the empty one first.
func readTemplates(b []byte) (common, error) {
	templates := make(common, 1)
	for len(b) > 0 {
		t, rest, err := cutSized(b)
		if err != nil {
			return nil, err
		}
		templates, b = append(templates, t), rest
	}
	return templates, nil
}
