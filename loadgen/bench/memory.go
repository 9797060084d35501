//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// memory is what so many orders with their ledger leave behind in the generator:
// the most that is resident, and the slope of a straight line through what was
// resident each second, from the second on in which a tenth is done.
func (b *bench) memory() error {
	s, err := start()
	if err != nil {
		return err
	}
	d, err := job{URL: s.url, Rate: 1e9, For: time.Duration(b.orders), Conns: conns, Workload: "orders", Watch: true}.run()
	if _, stop := s.stop(); err == nil {
		err = stop
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\nMemory, %d orders with a ledger in %.0f s: at most %.1f MiB resident\n", d.OK, d.Took.Seconds(), float64(d.PeakRSS)/1024)
	settled := d.RSS[len(d.RSS)/10:]
	if len(settled) < 10 {
		return fmt.Errorf("%d readings, too few for a slope", len(settled))
	}
	perSecond := slope(settled)
	perOrders := perSecond * d.Took.Seconds() / float64(d.OK) * 1e6
	fmt.Fprintf(b.out, "  slope %+.1f KiB a second, %+.1f KiB for each million orders\n", perSecond, perOrders)
	part := len(settled) / 4
	for i := range 4 {
		all := settled[i*part : (i+1)*part]
		fmt.Fprintf(b.out, "  quarter %d  %.1f to %.1f MiB\n", i+1, float64(slices.Min(all))/1024, float64(slices.Max(all))/1024)
	}
	return nil
}

// slope is that of the straight line which is least squares away from ys, one
// for each step of x.
func slope(ys []int64) float64 {
	n := float64(len(ys))
	meanX, meanY := (n-1)/2, 0.0
	for _, y := range ys {
		meanY += float64(y) / n
	}
	var over, under float64
	for x, y := range ys {
		dx := float64(x) - meanX
		over += dx * (float64(y) - meanY)
		under += dx * dx
	}
	return over / under
}
