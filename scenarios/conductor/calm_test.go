package conductor

import (
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/system/bus"
)

func TestCalmIsTheFirstThatLasted(t *testing.T) {
	for _, row := range []struct {
		name      string
		disturbed []bool // a look each 250 ms
		over      int64
		ok        bool
	}{
		{"never disturbed", []bool{false, false, false, false, false}, 0, true},
		{"over at once", []bool{true, false, false, false, false, false}, 250, true},
		{"a short calm does not count", []bool{true, false, false, true, false, false, false, false, false}, 1000, true},
		{"what comes after a calm that lasted does not count", []bool{false, false, false, false, false, true, true}, 0, true},
		{"not long enough yet", []bool{true, false, false, false, false}, 0, false},
		{"never over", []bool{true, true, true}, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := calm{lasts: 1000}
			var over int64
			var ok bool
			for i, d := range row.disturbed {
				over, ok = c.look(int64(i)*250, d)
			}
			if ok != row.ok || ok && over != row.over {
				t.Errorf("over at %d, %v; want %d, %v", over, ok, row.over, row.ok)
			}
		})
	}
}

func TestQuietIsAWindowWithoutLagOrErrors(t *testing.T) {
	const unknown = -1
	for _, row := range []struct {
		name string
		lag  []int64  // a look each 250 ms
		bad  []uint64 // by the end of each look
		want bool
	}{
		{"no look", nil, nil, false},
		{"too short", []int64{0, 0, 0, 0}, []uint64{0, 0, 0, 0}, false},
		{"long enough", []int64{90, 0, 0, 0, 0, 0}, []uint64{0, 0, 0, 0, 0, 0}, true},
		{"lag within it", []int64{0, 90, 0, 0, 0, 0}, []uint64{0, 0, 0, 0, 0, 0}, false},
		{"lag within the margin", []int64{0, lagMargin, 0, 0, 0}, []uint64{0, 0, 0, 0, 0}, true},
		{"a look without an answer", []int64{0, 0, unknown, 0, 0}, []uint64{0, 0, 0, 0, 0}, false},
		{"errors before it", []int64{0, 0, 0, 0, 0, 0}, []uint64{3, 3, 3, 3, 3, 3}, true},
		{"errors within it", []int64{0, 0, 0, 0, 0, 0}, []uint64{3, 3, 3, 4, 4, 4}, false},
	} {
		var looks []look
		for i, lag := range row.lag {
			l := look{at: time.Duration(i) * 250 * time.Millisecond}
			l.load.Ops = map[loadgen.Op]loadgen.Counts{"place_order": {Error: row.bad[i]}}
			if l.stack.LagKnown = lag != unknown; l.stack.LagKnown {
				l.stack.Lag = []bus.Lag{{Group: inventoryGroup}, {Group: "payment-group", Partitions: []bus.PartitionLag{{Lag: lag}}}}
			}
			looks = append(looks, l)
		}
		if got := quiet(looks); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}
