package system

import "context"

// Infrastructure says what the system stands on: product, version and where
// it comes from, by name.
func (s *Stack) Infrastructure(ctx context.Context) map[string]string {
	return s.fleet.Infrastructure(ctx)
}
