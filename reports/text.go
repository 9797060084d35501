package reports

import "io"

// TextOptions say what the terminal can show.
type TextOptions struct {
	Color bool
	Width int // columns; 0 is 100
}

// Text renders a result for a terminal, the verdict first.
func Text(w io.Writer, r *Result, o TextOptions) error { return nil }
