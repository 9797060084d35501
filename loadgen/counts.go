package loadgen

// Counts is the account of attempts:
// Scheduled = OK + Rejected + Error + Timeout + Dropped + Unfinished.
type Counts struct {
	Scheduled, OK, Rejected, Error, Timeout, Dropped, Unfinished uint64
}

// Settled is the number of attempts with an outcome.
func (c Counts) Settled() uint64 {
	return c.OK + c.Rejected + c.Error + c.Timeout + c.Dropped + c.Unfinished
}

// Plus is the sum of two accounts.
func (c Counts) Plus(d Counts) Counts {
	return Counts{
		Scheduled:  c.Scheduled + d.Scheduled,
		OK:         c.OK + d.OK,
		Rejected:   c.Rejected + d.Rejected,
		Error:      c.Error + d.Error,
		Timeout:    c.Timeout + d.Timeout,
		Dropped:    c.Dropped + d.Dropped,
		Unfinished: c.Unfinished + d.Unfinished,
	}
}

// settle counts one outcome.
func (c *Counts) settle(o Outcome) {
	switch o {
	case OK:
		c.OK++
	case Rejected:
		c.Rejected++
	case Timeout:
		c.Timeout++
	case Dropped:
		c.Dropped++
	case Abandoned:
		c.Unfinished++
	default:
		c.Error++
	}
}
