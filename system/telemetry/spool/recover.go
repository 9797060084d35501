package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

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
	templates, err := readTemplates(file)
	if err != nil {
		return estate{}, err
	}
	for half := range 2 {
		used := binary.NativeEndian.Uint64(file[usedAt+8*half:])
		if used > halfSize {
			return estate{}, errNotASpool
		}
		for rest := file[halfAt(half):][:used]; len(rest) > 0; {
			n, list, err := expand(nil, rest, templates)
			if err != nil {
				return estate{}, err
			}
			left.lists, rest = append(left.lists, list), rest[n:]
		}
	}
	ended := map[otlp.SpanID]bool{}
	for _, list := range left.lists {
		if err := scan(list, func(s *otlp.Span) { ended[s.ID] = true }); err != nil {
			return estate{}, err
		}
	}
	var interrupted []byte
	beat := binary.NativeEndian.Uint64(file[beatAt:])
	for i := range slots {
		word := binary.NativeEndian.Uint32(file[slotAt(i):])
		size, t := word&0xffff, int(word>>16)
		if size == 0 {
			continue
		}
		if size > slotSize-4 || t >= len(templates) {
			return estate{}, errNotASpool
		}
		begun := slices.Concat(file[slotAt(i)+4:][:size], templates[t])
		var id otlp.SpanID
		var start uint64
		if err := scan(otlp.AppendSpan(nil, begun), func(s *otlp.Span) { id, start = s.ID, s.Start }); err != nil {
			return estate{}, err
		}
		if ended[id] {
			continue
		}
		// When it was killed nobody knows; it was alive at the last beat.
		span := otlp.AppendBool(begun, otlp.OfSpan, Interrupted, true)
		span = otlp.AppendEnd(span, max(start, beat), otlp.StatusError, "the process was gone before the span ended")
		if interrupted = otlp.AppendSpan(interrupted, span); len(interrupted) > sendSize {
			left.lists, interrupted = append(left.lists, interrupted), nil
		}
	}
	if len(interrupted) > 0 {
		left.lists = append(left.lists, interrupted)
	}
	return left, nil
}

// scan reads a list of spans.
func scan(list []byte, found func(*otlp.Span)) error {
	var scanner otlp.Scanner
	_, err := scanner.Scan(append(otlp.AppendRequest(nil, nil, "", "", len(list)), list...), func(_ *otlp.Resource, s *otlp.Span) error {
		found(s)
		return nil
	})
	return err
}

// readTemplates reads the templates of a file, the empty one first.
func readTemplates(file []byte) ([][]byte, error) {
	used := binary.NativeEndian.Uint64(file[templatesAt:])
	if used > templateSize {
		return nil, errNotASpool
	}
	templates := make([][]byte, 1)
	for rest := file[headSize:][:used]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, errNotASpool
		}
		size := int(binary.NativeEndian.Uint32(rest))
		if rest = rest[4:]; size > len(rest) {
			return nil, errNotASpool
		}
		templates, rest = append(templates, rest[:size]), rest[size:]
	}
	return templates, nil
}
