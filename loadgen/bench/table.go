//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// table has a row for each thing measured and collects what each round gives.
type table struct {
	columns []string
	rows    []string
	values  map[string][][]float64 // by row, then column
}

func newTable(columns ...string) *table {
	return &table{columns: columns, values: map[string][][]float64{}}
}

// add notes the values of one round, one for each of the first columns; NaN is none.
func (t *table) add(row string, values ...float64) {
	if t.values[row] == nil {
		t.rows = append(t.rows, row)
		t.values[row] = make([][]float64, len(t.columns))
	}
	for i, v := range values {
		if !math.IsNaN(v) {
			t.values[row][i] = append(t.values[row][i], v)
		}
	}
}

// write prints the median of all rounds, and their range.
func (t *table) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  \t"+strings.Join(t.columns, "\t"))
	for _, row := range t.rows {
		line := "  " + row
		for _, all := range t.values[row] {
			line += "\t"
			if len(all) > 0 {
				line += digits(median(all)) + " (" + digits(slices.Min(all)) + " to " + digits(slices.Max(all)) + ")"
			}
		}
		fmt.Fprintln(w, line)
	}
	_ = w.Flush() // to the terminal or a buffer
}

// digits are three of v, and all before the point.
func digits(v float64) string {
	return strconv.FormatFloat(v, 'f', min(max(0, 2-int(math.Floor(math.Log10(max(math.Abs(v), 0.01))))), 3), 64)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[n/2] + all[(n-1)/2]) / 2
}

// quantile of sorted values, by the nearest rank.
func quantile(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q/100*float64(len(sorted))))-1)]
}
