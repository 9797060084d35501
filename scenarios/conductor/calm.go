package conductor

import "context"

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

// awaitCalm returns when a calm that ends a disturbance would have been seen,
// if there is one: a drain that was over just now has not lasted yet.
func (o *observation) awaitCalm(ctx context.Context) {
	for most := int(calmWindow/observeEvery) + 1; most > 0 && ctx.Err() == nil && !quiet(o.all()); most-- {
		o.next(ctx)
	}
}

// quiet tells whether looks end in a calm window without lag or errors.
func quiet(looks []look) bool {
	for i := len(looks) - 1; i >= 0; i-- {
		if !looks[i].stack.LagKnown || badSince(looks, i) > 0 {
			return false
		}
		for _, lag := range looks[i].stack.Lag {
			if lag.Total() > lagMargin {
				return false
			}
		}
		if looks[len(looks)-1].at-looks[i].at >= calmWindow {
			return true
		}
	}
	return false
}
