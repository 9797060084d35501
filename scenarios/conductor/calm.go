package conductor

// calm finds when a disturbance was over: the first moment of calm that
// lasted. Feed it looks in the order of time.
type calm struct {
	lasts int64 // ms of calm that are enough
	since int64 // start of the present calm
	on    bool  // there is a present calm
	found bool
}

// look takes one look at ms. Once a calm has lasted, over is its start and
// ok is true for good.
func (c *calm) look(ms int64, disturbed bool) (over int64, ok bool) {
	switch {
	case c.found:
	case disturbed:
		c.on = false
	case !c.on:
		c.on, c.since = true, ms
	}
	c.found = c.found || c.on && ms-c.since >= c.lasts
	return c.since, c.found
}
