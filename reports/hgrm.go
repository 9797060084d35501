package reports

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// hgrmTicks is how many lines there are for each halving of the distance to
// the 100th percentile, as the HdrHistogram tools print them.
const hgrmTicks = 5

// WriteHGRM writes the response times of all recorded phases as percentile
// distributions in milliseconds, in the format of the HdrHistogram tools: a
// section for each of the operations named, or of all. The HdrHistogram
// plotter takes a file for one line, so give it files of one operation each;
// Write stores those too, as latency.OP.hgrm.
func WriteHGRM(w io.Writer, r *Result, ops ...string) error {
	for _, l := range r.Latency {
		if l.Phase != "" || l.Clock != ResponseClock || (len(ops) > 0 && !slices.Contains(ops, l.Op)) {
			continue
		}
		h, err := l.Distribution()
		if err != nil {
			return err
		}
		if h == nil {
			continue
		}
		var section bytes.Buffer
		fmt.Fprintf(&section, "# %s, %s time in ms, of %s\n", l.Op, l.Clock, r.Run.ID)
		if _, err := h.PercentilesPrint(&section, hgrmTicks, 1000); err != nil {
			return fmt.Errorf("distribution of %s: %w", l.Op, err)
		}
		if _, err := section.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// hgrmOps names the operations that have a distribution.
func hgrmOps(r *Result) []string {
	var ops []string
	for _, l := range r.Latency {
		if l.Phase == "" && l.Clock == ResponseClock && l.Histogram != "" {
			ops = append(ops, l.Op)
		}
	}
	return ops
}
