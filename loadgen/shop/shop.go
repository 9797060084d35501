// Package shop is the workload of an order system: customers who place orders
// and look at them. Call New and give the Shop to loadgen.New.
//
// The invariant: what a call holds depends on the seed and the call's number
// only, so a seed repeats a run. The one thing it can't fix in advance is the
// order that a read asks for, which is one that the system has accepted.
package shop

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/loadgen"
)

// The operations of the shop.
const (
	PlaceOrder loadgen.Op = "place_order"
	ReadOrder  loadgen.Op = "read_order"
	// FollowOrder is a flow: an order is placed, and asked for until it has
	// come to its end. Its steps are Place and Poll.
	FollowOrder loadgen.Op = "follow_order"
	// CancelOrder cancels one of the orders that were accepted lately,
	// wherever that is by then.
	CancelOrder loadgen.Op = "cancel_order"
)

// The steps of FollowOrder.
const (
	Place = "place"
	Poll  = "poll"
)

// Ops are the operations that a mix may hold.
func Ops() []loadgen.Op { return []loadgen.Op{PlaceOrder, ReadOrder, FollowOrder, CancelOrder} }

// maxCustomers is how many addresses 10.0.0.0/8 has room for.
const maxCustomers = 1<<24 - 2

// Config is who buys what.
type Config struct {
	Customers int                    // 0 is 5000
	SKUs      int                    // sku-0001 and up, as the inventory holds them; 0 is 100
	Mix       map[loadgen.Op]float64 // shares, of any sum; empty only places orders
	Seed      uint64
	Retry     Retry

	// Token issues the bearer token of a customer, or of Everybody; nil sends
	// none. New asks for all of them, so that no arrival waits for one.
	Token func(user string) (string, error)
}

// Everybody is the user whose token is good for all customers: the shop
// itself. It is used where there are more customers than maxTokens.
const Everybody = "storefront"

// maxTokens bounds what a shop holds of tokens: 10,000 are 4 MB.
const maxTokens = 10_000

// Validate reports every problem.
func (c Config) Validate() error {
	var errs []error
	if c.Customers < 0 || c.Customers > maxCustomers {
		errs = append(errs, fmt.Errorf("shop: %d customers, want 1 to %d", c.Customers, maxCustomers))
	}
	if c.SKUs < 0 {
		errs = append(errs, fmt.Errorf("shop: %d SKUs, want at least 1", c.SKUs))
	}
	if err := c.Retry.validate(); err != nil {
		errs = append(errs, err)
	}
	sum := 0.0
	for _, op := range slices.Sorted(maps.Keys(c.Mix)) {
		if share := c.Mix[op]; !(share >= 0) {
			errs = append(errs, fmt.Errorf("shop: share %v of %s, want 0 or more", share, op))
		}
		if !slices.Contains(Ops(), op) {
			errs = append(errs, fmt.Errorf("shop: no operation %q; there are %s", op, strings.Join(opNames(), ", ")))
		}
		sum += c.Mix[op]
	}
	if len(c.Mix) > 0 && !(sum > 0) {
		errs = append(errs, errors.New("shop: the shares of the mix add up to 0"))
	}
	return errors.Join(errs...)
}

func opNames() []string {
	var names []string
	for _, op := range Ops() {
		names = append(names, string(op))
	}
	return names
}

// Shop is the workload.
type Shop struct {
	seed   uint64
	read   float64 // share of read_order
	cancel float64 // share of cancel_order
	follow float64 // share of follow_order
	retry  Retry
	recent recent
	tokens [][]byte // "Bearer ..." by customer; one is for all, none sends none

	// The generator is seeded anew for each call.
	pcg       *rand.PCG
	rng       *rand.Rand
	customers *rand.Zipf
	skus      *rand.Zipf
	basket    basket
}

// New opens a shop.
func New(cfg Config) (*Shop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Customers == 0 {
		cfg.Customers = 5000
	}
	if cfg.SKUs == 0 {
		cfg.SKUs = 100
	}
	s := &Shop{seed: cfg.Seed, retry: cfg.Retry, pcg: rand.NewPCG(0, 0)}
	s.rng = rand.New(s.pcg)
	if total := cfg.Mix[PlaceOrder] + cfg.Mix[ReadOrder] + cfg.Mix[FollowOrder] + cfg.Mix[CancelOrder]; total > 0 {
		s.read = cfg.Mix[ReadOrder] / total
		s.cancel = cfg.Mix[CancelOrder] / total
		s.follow = cfg.Mix[FollowOrder] / total
	}
	// Skewed as customers are: of 5,000 the busiest makes about a thousandth
	// of the traffic, so that a rate limit per client is not hit by chance.
	n := uint64(cfg.Customers)
	s.customers = rand.NewZipf(s.rng, 1.5, max(1, float64(n)/5), n-1)
	// Goods are more skewed: some SKUs are hot, which is where locks hurt.
	s.skus = rand.NewZipf(s.rng, 1.1, 1, uint64(cfg.SKUs)-1)
	return s, s.fetchTokens(cfg)
}

func (s *Shop) fetchTokens(cfg Config) error {
	if cfg.Token == nil {
		return nil
	}
	n := cfg.Customers
	if n > maxTokens {
		n = 1
	}
	s.tokens = make([][]byte, n)
	for customer := range s.tokens {
		user := Everybody
		if n > 1 {
			user = string(appendUser(nil, uint64(customer)))
		}
		token, err := cfg.Token(user)
		if err != nil {
			return fmt.Errorf("shop: %w", err)
		}
		s.tokens[customer] = []byte("Bearer " + token)
	}
	return nil
}

// identify says who sends a call.
func (s *Shop) identify(c *loadgen.Call, customer uint64) {
	f := c.AddHeader(forwardedFor)
	f.Value = appendAddress(f.Value, customer)
	if len(s.tokens) > 0 {
		f = c.AddHeader("Authorization")
		f.Value = append(f.Value, s.tokens[customer%uint64(len(s.tokens))]...)
	}
}

// Next makes the content of one call. The same numbers are drawn whether a
// read finds an order to ask for or not.
func (s *Shop) Next(c *loadgen.Call) {
	s.pcg.Seed(mix(s.seed), mix(c.Seq^s.seed<<1))
	op := s.rng.Float64()
	customer := s.customers.Uint64()
	pick := s.rng.Uint64()
	if op < s.read+s.cancel {
		if order, ok := s.recent.pick(pick); ok {
			if op < s.read {
				s.readOrder(c, order)
			} else {
				s.cancelOrder(c, order)
			}
			return
		}
	}
	s.placeOrder(c, customer)
	if op >= 1-s.follow {
		c.Op, c.Step = FollowOrder, Place
	}
}

// readOrder asks for an order, as the customer who placed it.
func (s *Shop) readOrder(c *loadgen.Call, o accepted) {
	c.Op, c.Method = ReadOrder, http.MethodGet
	c.Path = append(append(c.Path, "/orders/"...), o.id...)
	s.identify(c, o.customer)
}

// cancelOrder cancels an order, as the customer who placed it.
func (s *Shop) cancelOrder(c *loadgen.Call, o accepted) {
	c.Op, c.Method = CancelOrder, http.MethodPost
	c.Path = append(append(append(c.Path, "/orders/"...), o.id...), "/cancel"...)
	s.identify(c, o.customer)
}

// placeOrder buys a basket.
func (s *Shop) placeOrder(c *loadgen.Call, customer uint64) {
	c.Op, c.Method = PlaceOrder, http.MethodPost
	c.Path = append(c.Path, "/orders"...)
	c.Key = appendKey(c.Key, s.seed, c.Seq)
	f := c.AddHeader("Content-Type")
	f.Value = append(f.Value, "application/json"...)
	f = c.AddHeader("Idempotency-Key")
	f.Value = append(f.Value, c.Key...)
	s.identify(c, customer)
	s.basket.fill(s.rng, s.skus)
	c.Body = s.basket.append(c.Body, customer)
}

// forwardedFor names the customer to a gateway that trusts the generator.
const forwardedFor = "X-Forwarded-For"

// appendAddress is the address of a customer in 10.0.0.0/8, without 10.0.0.0.
func appendAddress(b []byte, customer uint64) []byte {
	n := customer + 1
	return fmt.Appendf(b, "10.%d.%d.%d", byte(n>>16), byte(n>>8), byte(n))
}

// customerAt is the customer with that address.
func customerAt(addr []byte) (customer uint64, ok bool) {
	var n, part uint64
	for _, b := range addr {
		switch {
		case b == '.':
			n, part = n<<8|part, 0
		case '0' <= b && b <= '9':
			part = part*10 + uint64(b-'0')
		default:
			return 0, false
		}
	}
	n = n<<8 | part
	return n&(1<<24-1) - 1, n>>24 == 10
}

// appendUser is the name of a customer.
func appendUser(b []byte, customer uint64) []byte { return fmt.Appendf(b, "user-%06d", customer) }

// appendKey is an idempotency key in the form of a UUID, version 8: the seed,
// mixed, and the number of the call, to be found again by eye.
func appendKey(b []byte, seed, seq uint64) []byte {
	m := mix(seed)
	return fmt.Appendf(b, "%08x-%04x-8%03x-8%03x-%012x",
		uint32(m>>32), uint16(m>>16), m>>4&0xfff, seq>>48&0xfff, seq&(1<<48-1))
}

// mix is the finaliser of SplitMix64, a bijection that leaves no pattern.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
