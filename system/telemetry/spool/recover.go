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
	if len(left.spans) > 0 {
		if err := send(otlp.AppendRequest(nil, left.resource, scope, SchemaURL, len(left.spans)), left.spans); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// estate is what a dead process left.
type estate struct {
	resource []byte
	spans    []byte
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
	for half := range 2 {
		used := binary.NativeEndian.Uint64(file[usedAt+8*half:])
		if used > halfSize {
			return estate{}, errNotASpool
		}
		left.spans = append(left.spans, file[halfAt(half):][:used]...)
	}
	var scanner otlp.Scanner
	ended := map[otlp.SpanID]bool{}
	_, err := scanner.Scan(append(otlp.AppendRequest(nil, left.resource, scope, SchemaURL, len(left.spans)), left.spans...),
		func(_ *otlp.Resource, s *otlp.Span) error {
			ended[s.ID] = true
			return nil
		})
	if err != nil {
		return estate{}, err
	}
	beat := binary.NativeEndian.Uint64(file[beatAt:])
	for i := range slots {
		size := binary.NativeEndian.Uint32(file[slotAt(i):])
		if size == 0 {
			continue
		}
		if size > slotSize-4 {
			return estate{}, errNotASpool
		}
		begun := file[slotAt(i)+4:][:size]
		var id otlp.SpanID
		var start uint64
		list := otlp.AppendSpan(nil, begun)
		_, err := scanner.Scan(append(otlp.AppendRequest(nil, nil, "", "", len(list)), list...), func(_ *otlp.Resource, s *otlp.Span) error {
			id, start = s.ID, s.Start
			return nil
		})
		if err != nil {
			return estate{}, err
		}
		if ended[id] {
			continue
		}
		// When it was killed nobody knows; it was alive at the last beat.
		span := otlp.AppendBool(begun[:len(begun):len(begun)], otlp.OfSpan, Interrupted, true)
		span = otlp.AppendEnd(span, max(start, beat), otlp.StatusError, "the process was gone before the span ended")
		left.spans = otlp.AppendSpan(left.spans, span)
	}
	return left, nil
}
