package system

// Collector is a collector of traces that stands in a stack beside it, by
// ImagesConfig.Collector.
type Collector struct {
	Image    string `json:"image"`
	Endpoint string `json:"endpoint"`     // URL of OTLP over HTTP, on this machine
	UI       string `json:"ui,omitempty"` // URL of what it shows people; "": it shows nothing
}

// Collecting is a Fleet that can have a collector; nil: it has none.
type Collecting interface{ Collector() *Collector }

// Collector is the collector of the stack; nil: it has none.
func (s *Stack) Collector() *Collector {
	if f, ok := s.fleet.(Collecting); ok {
		return f.Collector()
	}
	return nil
}
