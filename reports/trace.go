package reports

import "time"

// Traces is what the traces of a run tell. It is absent where tracing is off.
type Traces struct {
	Sample        float64           `json:"sample"` // share of the requests that were traced
	Spans         uint64            `json:"spans"`
	Orders        uint64            `json:"orders"`         // in the books, whose trees were judged
	Complete      uint64            `json:"complete"`       // of them, with every step and every parent
	CompleteShare float64           `json:"complete_share"` // 0 to 1
	Interrupted   uint64            `json:"interrupted"`    // spans whose process was gone before they ended
	Late          uint64            `json:"late"`           // spans of trees that had been found complete
	Unfollowed    uint64            `json:"unfollowed"`     // spans of trees for which there was no room
	Rejected      uint64            `json:"rejected"`       // spans without an id, which were not judged
	Unreadable    uint64            `json:"unreadable"`     // export requests that were not understood to their end
	Hops          []TraceHop        `json:"hops"`           // from the request to the order's end, in that order
	Slowest       []SlowOrder       `json:"slowest"`        // of the complete, the slowest first
	Incomplete    []IncompleteTrace `json:"incomplete"`     // at most 20
}

// TraceHop is one stretch of the way of orders, over all complete trees.
type TraceHop struct {
	Name   string  `json:"name"` // "inventory queue"
	Count  uint64  `json:"count"`
	MeanMS float64 `json:"mean_ms"`
	P50MS  float64 `json:"p50_ms"`
	P99MS  float64 `json:"p99_ms"`
	MaxMS  float64 `json:"max_ms"`
	Share  float64 `json:"share"` // of the time of all orders, 0 to 1
}

// SlowOrder is one of the slowest orders and where its time went.
type SlowOrder struct {
	OrderID    string      `json:"order_id"`
	TraceID    string      `json:"trace_id"`
	Status     string      `json:"status"`
	StartedAt  time.Time   `json:"started_at"`
	DurationMS float64     `json:"duration_ms"` // from the request to the order's end
	Hops       []SlowHop   `json:"hops"`        // they add up to the duration
	Spans      []TraceSpan `json:"spans"`
}

// SlowHop is one stretch of the way of one order.
type SlowHop struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// TraceSpan is one span; its start counts from that of the order.
type TraceSpan struct {
	SpanID      string  `json:"span_id"`
	ParentID    string  `json:"parent_id,omitempty"`
	Name        string  `json:"name"`
	Replica     string  `json:"replica"`
	Kind        string  `json:"kind"`
	StartMS     float64 `json:"start_ms"`
	DurationMS  float64 `json:"duration_ms"`
	Failed      bool    `json:"failed,omitempty"`
	Interrupted bool    `json:"interrupted,omitempty"` // its process was gone before it ended
	Linked      bool    `json:"linked,omitempty"`      // of a batch, which has a trace of its own
}

// IncompleteTrace is an order whose tree is not whole, and what it lacks.
type IncompleteTrace struct {
	OrderID string   `json:"order_id"`
	TraceID string   `json:"trace_id,omitempty"`
	Status  string   `json:"status"`
	Missing []string `json:"missing"`
}
