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
