//go:build linux

package main

import (
	"fmt"
	"slices"
)

// memory is what 10^7 orders with their ledger leave behind in the generator.
func (b *bench) memory() error {
	s, err := start()
	if err != nil {
		return err
	}
	d, err := job{URL: s.url, Rate: 1e9, For: 1e7, Conns: conns, Workload: "orders", Watch: true}.run()
	if _, stop := s.stop(); err == nil {
		err = stop
	}
	if err != nil {
		return err
	}
	part := max(1, len(d.RSS)/4)
	fmt.Fprintf(b.out, "\nMemory, %d orders with a ledger in %.0f s: at most %.1f MiB resident\n", d.OK, d.Took.Seconds(), float64(d.PeakRSS)/1024)
	for i := range 4 {
		all := d.RSS[i*part : min((i+1)*part, len(d.RSS))]
		fmt.Fprintf(b.out, "  quarter %d  %.1f to %.1f MiB\n", i+1, float64(slices.Min(all))/1024, float64(slices.Max(all))/1024)
	}
	return nil
}
