// Package inside is what a runtime of containers starts within the namespaces
// of another container, to disturb what it can't reach from outside: Run takes
// orders as lines of JSON on its standard input and answers each with a line.
//
// The invariant: what was ordered is undone when the input ends, and so when
// whoever gave the orders is gone. Packet rules stand in one table of ours,
// which one delete removes.
package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Order is one thing to do. Exactly one of its fields is set.
type Order struct {
	Drop    *Drop  `json:"drop,omitempty"`  // drop packets, as this says and no longer as before
	Delay   *Delay `json:"delay,omitempty"` // delay what is sent
	Count   bool   `json:"count,omitempty"` // say how many packets were dropped so far
	Pass    bool   `json:"pass,omitempty"`  // drop nothing any more
	Undelay bool   `json:"undelay,omitempty"`
	Limit   *Limit `json:"limit,omitempty"` // limit every process that there is
	Unlimit string `json:"unlimit,omitempty"`
	Fill    *Fill  `json:"fill,omitempty"`  // fill the volume that is mounted at Volume
	Clear   bool   `json:"clear,omitempty"` // give its room back
}

// Drop says which packets are lost.
type Drop struct {
	Share    float64      `json:"share"` // of the packets, more than 0 to 1
	Peers    []netip.Addr `json:"peers"` // to or from whom; IPv4
	Sent     bool         `json:"sent"`  // those that are sent to them
	Received bool         `json:"received"`
}

// Delay says how long packets that are sent wait before they leave.
type Delay struct {
	By     time.Duration `json:"by"`
	Jitter time.Duration `json:"jitter"`
}

// Limit lowers a soft limit of every process.
type Limit struct {
	Name  string `json:"name"`  // "files": how many it has open, and Spare more
	Spare int64  `json:"spare"` // not negative
}

// Volume is where a helper that keeps a volume has it.
const Volume = "/volume"

// Fill says how many bytes of a volume stay free; what a file system gives out
// in blocks is rounded up.
type Fill struct {
	Spare int64 `json:"spare"` // not negative
}

// Answer says how an order went.
type Answer struct {
	Error   string `json:"error,omitempty"`
	Dropped int64  `json:"dropped,omitempty"` // packets, since the first Drop
	Filled  int64  `json:"filled,omitempty"`  // bytes that this Fill took, and those before it did not
	Detail  string `json:"detail,omitempty"`
}

// Check says what is wrong with an order.
func (o Order) Check() error {
	set := 0
	for _, is := range []bool{o.Drop != nil, o.Delay != nil, o.Count, o.Pass, o.Undelay, o.Limit != nil, o.Unlimit != "", o.Fill != nil, o.Clear} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("an order says one thing, this says %d", set)
	}
	switch {
	case o.Drop != nil:
		d := o.Drop
		if !(d.Share > 0 && d.Share <= 1) || !d.Sent && !d.Received || len(d.Peers) == 0 {
			return errors.New("drop: a share of more than 0 to 1, a direction and peers are needed")
		}
		for _, p := range d.Peers {
			if !p.Is4() {
				return fmt.Errorf("drop: %s is no IPv4 address", p)
			}
		}
	case o.Delay != nil && (o.Delay.By < 0 || o.Delay.Jitter < 0 || o.Delay.By+o.Delay.Jitter == 0 || o.Delay.By > time.Minute || o.Delay.Jitter > time.Minute):
		return errors.New("delay: more than nothing and at most a minute are needed")
	case o.Limit != nil:
		if _, known := limits[o.Limit.Name]; !known || o.Limit.Spare < 0 {
			return fmt.Errorf("limit: %q by %d", o.Limit.Name, o.Limit.Spare)
		}
	case o.Unlimit != "":
		if _, known := limits[o.Unlimit]; !known {
			return fmt.Errorf("unlimit: %q", o.Unlimit)
		}
	case o.Fill != nil && o.Fill.Spare < 0:
		return fmt.Errorf("fill: %d bytes can't stay free", o.Fill.Spare)
	}
	return nil
}

// Run takes orders until in ends, and undoes what they did. Its error says
// what could not be undone, or that in ended in the middle of an order.
func Run(in io.Reader, out io.Writer) error {
	h := &hold{limited: map[limited]uint64{}, others: others, volume: Volume}
	orders := json.NewDecoder(in)
	orders.DisallowUnknownFields()
	answers := json.NewEncoder(out)
	for {
		var o Order
		err := orders.Decode(&o)
		if errors.Is(err, io.EOF) {
			return h.undo()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read an order: %w", err), h.undo())
		}
		var a Answer
		if err = o.Check(); err == nil {
			a, err = h.obey(o)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return errors.Join(err, h.undo())
		}
	}
}
