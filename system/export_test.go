package system

// Brokers are the addresses of the broker, for tests that write to a topic
// what no service would.
func (s *Stack) Brokers() []string { return s.fleet.Brokers() }
