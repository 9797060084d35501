package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ordbench/ordbench/loadgen"
)

// LogFile is the name of the interval log in a run directory.
const LogFile = "latency.hlog"

// interval is the length of an interval of the log.
const interval = time.Second

// Log writes the response times of each second while the load runs, in the
// log format of the HdrHistogram tools, version 1.3: one line for each
// operation, which is its tag. Values are microseconds. What is written is
// let go, so that a day of load takes no more memory than a minute.
type Log struct {
	file  *os.File
	out   *bufio.Writer
	start time.Time
	from  time.Duration
	err   error
}

// CreateLog begins a log at path; times count from start.
func CreateLog(path string, start time.Time) (*Log, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	l := &Log{file: f, out: bufio.NewWriter(f), start: start}
	seconds := float64(start.UnixMilli()) / 1000
	l.printf("#[Histogram log format version 1.3]\n")
	l.printf("#[StartTime: %.3f (seconds since epoch), %s]\n", seconds, start.UTC().Format(time.RFC3339))
	l.printf("#[Response times in microseconds, from when an attempt was due; Interval_Max in ms]\n")
	l.printf("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n")
	return l, nil
}

// Follow writes the intervals of a run until ctx ends, and then Close.
func (l *Log) Follow(ctx context.Context, r *loadgen.Runner) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.write(r.Intervals())
		}
	}
}

// Close writes what was settled last and ends the log.
func (l *Log) Close(r *loadgen.Runner) error {
	l.write(r.Intervals())
	return errors.Join(l.err, l.out.Flush(), l.file.Close())
}

// write adds the lines of the interval that ends now.
func (l *Log) write(ops map[loadgen.Op]*hdrhistogram.Histogram) {
	from, to := l.from, max(l.from, time.Since(l.start))
	l.from = to
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		h := ops[op]
		encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			l.err = errors.Join(l.err, fmt.Errorf("interval of %s: %w", op, err))
			continue
		}
		l.printf("Tag=%s,%.3f,%.3f,%.3f,%s\n", op, from.Seconds(), (to - from).Seconds(), float64(h.Max())/1e3, encoded)
	}
	if err := l.out.Flush(); err != nil && l.err == nil {
		l.err = err
	}
}

func (l *Log) printf(format string, args ...any) {
	fmt.Fprintf(l.out, format, args...) // its error stays, and is that of Flush
}
