package reports

import (
	"fmt"
	"io"
	"math"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"
)

// nativeSchema is the resolution of the native histograms: 32 buckets for each
// doubling, so that a quantile read from them is off by at most 2.2%.
const nativeSchema = 5

// WritePrometheus writes the latencies as native histograms, in seconds, and
// the account of attempts as counters: what a scrape returns to a Prometheus
// that asks for protocol buffers, messages with their length before them.
func WritePrometheus(w io.Writer, r *Result) error {
	latency := &dto.MetricFamily{
		Name: proto.String("ordbench_latency_seconds"), Unit: proto.String("seconds"), Type: dto.MetricType_HISTOGRAM.Enum(),
		Help: proto.String("Time of an attempt: response from when it was due, service from its send, completion from accepted to the end of the order."),
	}
	for _, rows := range [][]Latency{r.Latency, r.Completion} {
		for _, l := range rows {
			if l.Phase == "" {
				continue // the sum of the others
			}
			h, err := native(l)
			if err != nil {
				return err
			}
			latency.Metric = append(latency.Metric, &dto.Metric{
				Label: labels("op", l.Op, "phase", l.Phase, "clock", l.Clock), Histogram: h,
			})
		}
	}
	attempts := &dto.MetricFamily{
		Name: proto.String("ordbench_attempts_total"), Type: dto.MetricType_COUNTER.Enum(),
		Help: proto.String("Attempts by what became of them."),
	}
	for _, p := range r.Phases {
		for _, c := range []struct {
			outcome string
			n       uint64
		}{
			{"ok", p.Counts.OK}, {"rejected", p.Counts.Rejected}, {"error", p.Counts.Error},
			{"timeout", p.Counts.Timeout}, {"dropped", p.Counts.Dropped}, {"unfinished", p.Counts.Unfinished},
		} {
			attempts.Metric = append(attempts.Metric, &dto.Metric{
				Label: labels("phase", p.Name, "outcome", c.outcome), Counter: &dto.Counter{Value: proto.Float64(float64(c.n))},
			})
		}
	}
	out := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for _, family := range []*dto.MetricFamily{latency, attempts} {
		if len(family.Metric) == 0 {
			continue
		}
		if err := out.Encode(family); err != nil {
			return fmt.Errorf("write %s: %w", family.GetName(), err)
		}
	}
	return nil
}

func labels(pairs ...string) []*dto.LabelPair {
	var all []*dto.LabelPair
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &dto.LabelPair{Name: &pairs[i], Value: &pairs[i+1]})
	}
	return all
}

// native is the distribution of l in the buckets of Prometheus.
func native(l Latency) (*dto.Histogram, error) {
	out := &dto.Histogram{
		SampleCount: proto.Uint64(l.Count), SampleSum: proto.Float64(l.MeanMS / 1e3 * float64(l.Count)),
		Schema: proto.Int32(nativeSchema), ZeroThreshold: proto.Float64(math.Ldexp(1, -128)), ZeroCount: proto.Uint64(0),
	}
	h, err := l.Distribution()
	if err != nil || h == nil {
		return out, err
	}
	var (
		index  int32 // of the bucket that grows
		count  int64 // in it
		before int64 // count of the bucket before
		end    int32 // behind the last bucket written
	)
	flush := func() {
		if count == 0 {
			return
		}
		if n := len(out.PositiveSpan); n > 0 && index == end {
			*out.PositiveSpan[n-1].Length++
		} else {
			out.PositiveSpan = append(out.PositiveSpan, &dto.BucketSpan{Offset: proto.Int32(index - end), Length: proto.Uint32(1)})
		}
		out.PositiveDelta = append(out.PositiveDelta, count-before)
		before, count, end = count, 0, index+1
	}
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		if bar.To <= 0 {
			*out.ZeroCount += uint64(bar.Count)
			continue
		}
		if at := bucketOf(float64(bar.To) / 1e6); at != index {
			flush()
			index = at
		}
		count += bar.Count
	}
	flush()
	return out, nil
}

// bucketOf is the index of the bucket that holds v: its upper bound, which is
// in it, is 2^(index/32).
func bucketOf(v float64) int32 {
	return int32(math.Ceil(math.Log2(v) * (1 << nativeSchema)))
}
