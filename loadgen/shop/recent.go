package shop

import "sync"

// accepted is an order that the system has taken.
type accepted struct {
	id       string
	customer uint64
}

// recent holds the latest accepted orders, for reads to ask for.
type recent struct {
	mu     sync.Mutex
	orders [1024]accepted
	n      uint64 // accepted in all
}

// add notes an accepted order in the place of the oldest.
func (r *recent) add(o accepted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders[r.n%uint64(len(r.orders))] = o
	r.n++
}

// pick is one of the orders, by a number that was drawn; false before the
// first was accepted.
func (r *recent) pick(draw uint64) (accepted, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		return accepted{}, false
	}
	return r.orders[draw%min(r.n, uint64(len(r.orders)))], true
}
