package loadgen

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ledgerHeader is the first line of a ledger.
const ledgerHeader = "seq,phase,due_us,sent_us,done_us,certainty,status,key,order_id,reason"

// LedgerWriter writes the ledger of attempts, one CSV line each, in the order
// in which they were settled. It may be used by several goroutines. Its first
// error stays: a ledger with a hole is never continued.
type LedgerWriter struct {
	mu    sync.Mutex
	out   *bufio.Writer
	file  io.Closer
	line  []byte
	lines uint64
	err   error
}

// NewLedgerWriter writes a ledger to w.
func NewLedgerWriter(w io.Writer) *LedgerWriter {
	l := &LedgerWriter{out: bufio.NewWriterSize(w, 256<<10)}
	_, l.err = l.out.WriteString(ledgerHeader + "\n")
	return l
}

// CreateLedger writes a ledger to a new file, which Close closes.
func CreateLedger(path string) (*LedgerWriter, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	l := NewLedgerWriter(f)
	l.file = f
	return l, nil
}

// Write adds one attempt. Its texts may not hold control characters.
func (l *LedgerWriter) Write(a Attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	for _, text := range [...]string{a.Phase, a.Key, a.OrderID, a.Reason} {
		if strings.IndexFunc(text, isControl) >= 0 {
			l.err = fmt.Errorf("write ledger: attempt %d: control character in %q", a.Seq, text)
			return l.err
		}
	}
	l.line = appendAttempt(l.line[:0], a)
	if _, err := l.out.Write(l.line); err != nil {
		l.err = fmt.Errorf("write ledger: %w", err)
		return l.err
	}
	l.lines++
	return nil
}

// Lines is the number of attempts written.
func (l *LedgerWriter) Lines() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}

// Flush hands all lines to the file.
func (l *LedgerWriter) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		if err := l.out.Flush(); err != nil {
			l.err = fmt.Errorf("write ledger: %w", err)
		}
	}
	return l.err
}

// Close flushes, and closes the file of CreateLedger.
func (l *LedgerWriter) Close() error {
	err := l.Flush()
	if l.file == nil {
		return err
	}
	if closing := l.file.Close(); err == nil && closing != nil {
		err = fmt.Errorf("close ledger: %w", closing)
	}
	return err
}

// appendAttempt is the line of a. There is one line for each attempt, and
// ReadLedger takes no other.
func appendAttempt(line []byte, a Attempt) []byte {
	line = strconv.AppendUint(line, a.Seq, 10)
	line = appendText(append(line, ','), a.Phase)
	line = appendMicros(append(line, ','), a.Due)
	line = appendMicros(append(line, ','), a.Sent)
	line = appendMicros(append(line, ','), a.Done)
	line = append(append(line, ','), a.Certainty.String()...)
	line = strconv.AppendInt(append(line, ','), int64(a.Status), 10)
	line = appendText(append(line, ','), a.Key)
	line = appendText(append(line, ','), a.OrderID)
	line = appendText(append(line, ','), a.Reason)
	return append(line, '\n')
}

// appendMicros is d in microseconds, -1 for what never was.
func appendMicros(line []byte, d time.Duration) []byte {
	if d < 0 {
		return append(line, "-1"...)
	}
	return strconv.AppendInt(line, d.Microseconds(), 10)
}

// appendText is a CSV field, quoted only where it has to be.
func appendText(line []byte, s string) []byte {
	if !strings.ContainsAny(s, `,"`) {
		return append(line, s...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(s, `"`, `""`)...)
	return append(line, '"')
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
