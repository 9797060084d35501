package reports

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The clocks of a Latency.
const (
	ResponseClock   = "response"   // from the due time
	ServiceClock    = "service"    // from the send
	CompletionClock = "completion" // from accepted to the end of the order
)

// NewLatency summarises a histogram of microseconds. A nil or empty one
// gives a Latency with Count 0.
func NewLatency(op, phase, clock string, h *hdrhistogram.Histogram) (Latency, error) {
	l := Latency{Op: op, Phase: phase, Clock: clock}
	if h == nil || h.TotalCount() == 0 {
		return l, nil
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Latency{}, fmt.Errorf("encode histogram of %s: %w", op, err)
	}
	ms := func(us int64) float64 { return float64(us) / 1000 }
	l.Count = uint64(h.TotalCount())
	l.MeanMS = h.Mean() / 1000
	l.P50MS = ms(h.ValueAtQuantile(50))
	l.P90MS = ms(h.ValueAtQuantile(90))
	l.P95MS = ms(h.ValueAtQuantile(95))
	l.P99MS = ms(h.ValueAtQuantile(99))
	l.P999MS = ms(h.ValueAtQuantile(99.9))
	l.MaxMS = ms(h.Max())
	l.Histogram = string(encoded)
	return l, nil
}

// Distribution decodes the histogram, in microseconds; nil if Count is 0.
func (l Latency) Distribution() (*hdrhistogram.Histogram, error) {
	if l.Histogram == "" {
		return nil, nil
	}
	h, err := hdrhistogram.Decode([]byte(l.Histogram))
	if err != nil {
		return nil, fmt.Errorf("histogram of %s: %w", l.Op, err)
	}
	return h, nil
}
