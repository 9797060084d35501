package reports

import (
	"encoding/csv"
	"io"
	"strconv"
)

// csvHeader is the first line of the table of latencies. Columns are added at
// its end, never moved.
var csvHeader = []string{
	"op", "phase", "clock", "count", "lower_bounds", "mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms",
}

// WriteCSV writes a line for each distribution, completions behind the rest.
// A phase of "" is all recorded phases together.
func WriteCSV(w io.Writer, r *Result) error {
	out := csv.NewWriter(w)
	_ = out.Write(csvHeader) // an error stays, and is that of Flush
	ms := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	for _, rows := range [][]Latency{r.Latency, r.Completion} {
		for _, l := range rows {
			_ = out.Write([]string{
				l.Op, l.Phase, l.Clock, strconv.FormatUint(l.Count, 10), strconv.FormatUint(l.AtLeast, 10),
				ms(l.MeanMS), ms(l.P50MS), ms(l.P90MS), ms(l.P95MS), ms(l.P99MS), ms(l.P999MS), ms(l.MaxMS),
			})
		}
	}
	out.Flush()
	return out.Error()
}
