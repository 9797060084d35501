package traces

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// WaysHeader is the first line of the ways of orders: which order and trace
// it is, how it ended, when it began, and how long each stretch took, in
// milliseconds; empty is a stretch that the order did not go.
func WaysHeader() string {
	return "order_id,trace_id,status,started_at,duration_ms," + strings.ReplaceAll(strings.Join(wayNames, "_ms,")+"_ms\n", " ", "_")
}

// write adds the way of one order to those that somebody keeps.
func (b *Book) write(id otlp.TraceID, t *tree, status string, way []hop) {
	if b.opts.Ways == nil || b.waysErr != nil {
		return
	}
	line := b.line[:0]
	line = append(line, formatOrderID(t.order)...)
	line = append(line, ',')
	line = hex.AppendEncode(line, id[:])
	line = append(line, ',')
	line = append(line, status...)
	line = append(line, ',')
	if begin, ok := t.find(entered); ok {
		line = time.Unix(0, begin.start).UTC().AppendFormat(line, time.RFC3339Nano)
	}
	line = append(line, ',')
	line = appendMS(line, t.took())
	next := 0 // of way, which is in the order of wayNames
	for _, name := range wayNames {
		line = append(line, ',')
		if next < len(way) && way[next].name == name {
			line = appendMS(line, way[next].took)
			next++
		}
	}
	line = append(line, '\n')
	b.line = line
	if _, err := b.opts.Ways.Write(b.line); err != nil {
		b.waysErr = fmt.Errorf("write the ways of orders: %w", err)
	}
}

func appendMS(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, milliseconds(d), 'f', 3, 64)
}

// WaysErr says why not all ways were written.
func (b *Book) WaysErr() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waysErr
}
