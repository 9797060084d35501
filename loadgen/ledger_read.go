package loadgen

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// maxLine bounds a line of the ledger, in bytes.
const maxLine = 64 << 10

// ReadLedger gives fn each attempt of a ledger. It holds one line at a time
// and is strict: it takes what LedgerWriter writes and nothing else, because
// a damaged ledger must not pass for a short one. An error of the ledger
// carries its line, counted from 1; an error of fn ends the reading as it is.
func ReadLedger(r io.Reader, fn func(Attempt) error) error {
	in := ledgerReader{in: bufio.NewReaderSize(r, maxLine), words: map[string]string{}}
	header, err := in.line()
	if errors.Is(err, io.EOF) {
		return errors.New("ledger line 1: no header")
	}
	if err == nil && string(header) != ledgerHeader {
		err = errors.New("not the header of a ledger")
	}
	if err != nil {
		return fmt.Errorf("ledger line 1: %w", err)
	}
	for {
		line, err := in.line()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var a Attempt
		if err == nil {
			a, err = in.attempt(line)
		}
		if err != nil {
			return fmt.Errorf("ledger line %d: %w", in.n, err)
		}
		if err := fn(a); err != nil {
			return err
		}
	}
}

type ledgerReader struct {
	in    *bufio.Reader
	n     int               // lines begun
	words map[string]string // phases and reasons, which repeat
	text  []byte            // unquoted field
}

// line is the next line without its end, io.EOF after the last.
func (r *ledgerReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, io.EOF
	}
	r.n++
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("cut off")
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("longer than %d bytes", maxLine)
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}

// attempt parses one line.
func (r *ledgerReader) attempt(line []byte) (a Attempt, err error) {
	f := fields{rest: line, more: true, text: r.text[:0]}
	a.Seq = f.number("seq", math.MaxUint64)
	a.Phase = r.word(f.next("phase"))
	a.Due = f.micros("due_us")
	a.Sent = f.micros("sent_us")
	a.Done = f.micros("done_us")
	switch word := f.next("certainty"); string(word) {
	case Happened.String():
		a.Certainty = Happened
	case Refuted.String():
		a.Certainty = Refuted
	case Unknown.String():
		a.Certainty = Unknown
	default:
		f.fail("certainty %q, want ok, fail or unknown", word)
	}
	a.Status = int(f.number("status", 999))
	a.Key = string(f.next("key"))
	a.OrderID = string(f.next("order_id"))
	a.Reason = r.word(f.next("reason"))
	if f.more {
		f.fail("more than 10 fields")
	}
	r.text = f.text
	return a, f.err
}

// word is b as a string that is shared with earlier lines.
func (r *ledgerReader) word(b []byte) string {
	if s, ok := r.words[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(r.words) < 1000 { // memory stays bounded whatever the file holds
		r.words[s] = s
	}
	return s
}

// fields takes a line apart; the first error stays.
type fields struct {
	rest []byte
	more bool // another field follows
	text []byte
	err  error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// next is the next field, valid until the one after it.
func (f *fields) next(name string) []byte {
	if !f.more {
		f.fail("no field %s", name)
		return nil
	}
	if len(f.rest) > 0 && f.rest[0] == '"' {
		return f.quoted(name)
	}
	field, rest, more := bytes.Cut(f.rest, []byte{','})
	f.rest, f.more = rest, more
	if bytes.IndexByte(field, '"') >= 0 {
		f.fail("%s: quote inside a field", name)
	}
	if bytes.IndexFunc(field, isControl) >= 0 {
		f.fail("%s: control character", name)
	}
	return field
}

// quoted is a field in quotes, which only one with a comma or quote may be.
func (f *fields) quoted(name string) []byte {
	f.text = f.text[:0]
	for i := 1; i < len(f.rest); i++ {
		if b := f.rest[i]; b != '"' {
			f.text = append(f.text, b)
			continue
		}
		if i+1 < len(f.rest) && f.rest[i+1] == '"' {
			f.text = append(f.text, '"')
			i++
			continue
		}
		f.rest, f.more = f.rest[i+1:], i+1 < len(f.rest)
		if f.more {
			if f.rest[0] != ',' {
				f.fail("%s: text after the closing quote", name)
			}
			f.rest = f.rest[1:]
		}
		if !strings.ContainsAny(string(f.text), `,"`) {
			f.fail("%s: needless quotes", name)
		}
		if bytes.IndexFunc(f.text, isControl) >= 0 {
			f.fail("%s: control character", name)
		}
		return f.text
	}
	f.fail("%s: no closing quote", name)
	f.more = false
	return nil
}

// number is a whole number without sign or leading zeros.
func (f *fields) number(name string, limit uint64) uint64 {
	field := f.next(name)
	if f.err != nil {
		return 0
	}
	n := uint64(0)
	for _, b := range field {
		digit := uint64(b - '0')
		if b < '0' || b > '9' || n > (limit-digit)/10 {
			f.fail("%s %q, want a whole number up to %d", name, field, limit)
			return 0
		}
		n = n*10 + digit
	}
	if len(field) == 0 || len(field) > 1 && field[0] == '0' {
		f.fail("%s %q, want a whole number up to %d", name, field, limit)
	}
	return n
}

// micros is a time in microseconds, or -1.
func (f *fields) micros(name string) time.Duration {
	if bytes.HasPrefix(f.rest, []byte("-1,")) {
		f.rest = f.rest[len("-1,"):]
		return -1
	}
	return time.Duration(f.number(name, uint64(math.MaxInt64/time.Microsecond))) * time.Microsecond
}
