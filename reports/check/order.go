package check

import "encoding/hex"

// order is what is known of one order, in 32 bytes.
type order struct {
	id    [16]byte // a UUID, or zero: the name stands in orders.names
	first uint32   // the SKU of its first movement, and the kinds of those of that SKU
	owed  uint32   // cents charged that the ledger does not have, modulo 2^32
	facts uint64
}

// The facts of an order.
const (
	accepted      = 1 << iota // a client was told so
	row                       // it stands in the order database
	sharedKey                 // another order stands under its key
	extra                     // and was there before it
	reserved                  // stock was reserved for it
	released                  // and given back
	refused                   // the inventory refused it
	sold                      // and sold
	doubled                   // the same effect stands there twice
	charged                   // the provider has taken the money
	chargedTwice              //
	declined                  // the provider has refused to
	posted                    // the charge stands in the ledger
	postedTwice               //
	toldConfirmed             // the customer was told so
	toldRejected              //
	toldCancelled             //
	toldTwice                 // one of these twice, or something else
	created                   // order.created is in the topic
	decided                   // inventory.reserved is in the topic
	ended                     // what ends it is in the topic
	pending                   // its status
	confirmed
	rejected
	cancelled
	parked
	strange // a status that does not exist
	toldYes // its key was accepted
	toldNo  // its key was tried, and refused each time
	untold  // its key was tried, without a certain answer
	aside   // a group has given up a message of it, and nobody sent it back

	withdrawn         // its customer has cancelled it
	captured          // payment.captured is in the topic
	returned          // what was sold came back
	refunded          // the provider has given the money back
	refundedTwice     //
	postedBack        // the refund stands in the ledger
	postedBackTwice   //
	toldRefunded      // the customer was told so
	toldRefundedTwice //
	outOfOrder        // an event of it is in the topic before the one that it follows from
)

func statusFact(status string) uint64 {
	switch status {
	case "PENDING":
		return pending
	case "CONFIRMED":
		return confirmed
	case "REJECTED":
		return rejected
	case "CANCELLED":
		return cancelled
	case "PARKED":
		return parked
	default:
		return strange
	}
}

// The kinds of movements. Unknown kinds get the numbers above.
const (
	reserve = iota + 1
	release
	sell
	reject
	returning
	kindBits  = 3
	kindCount = 1 << kindBits
)

func (o *order) has(facts uint64) bool { return o.facts&facts == facts }
func (o *order) any(facts uint64) bool { return o.facts&facts != 0 }

// orders numbers the orders in the order of their first mention. They lie in
// chunks: to grow moves nothing.
type orders struct {
	numbers table // hash of the id -> number+1
	chunks  []*[chunkSize]order
	count   int
	names   map[int]string // ids that are no UUID
}

const (
	chunkSize = 1 << 12
	maxOrders = 1<<27 - 1 // what fits beside the flags of a key or an event
)

// intern gives the number of an order. It is not ok when there are too many.
func (s *orders) intern(hash uint64, id string) (number int, ok bool) {
	place := s.numbers.at(hash)
	if *place != 0 {
		return int(*place) - 1, true
	}
	if s.count == maxOrders {
		return 0, false
	}
	number = s.count
	s.count++
	*place = uint32(s.count)
	if number%chunkSize == 0 {
		s.chunks = append(s.chunks, new([chunkSize]order))
	}
	if o := s.get(number); !parseUUID(id, &o.id) {
		if s.names == nil {
			s.names = map[int]string{}
		}
		s.names[number] = id
	}
	return number, true
}

func (s *orders) get(number int) *order { return &s.chunks[number/chunkSize][number%chunkSize] }

func (s *orders) name(number int) string {
	if name, ok := s.names[number]; ok {
		return name
	}
	return formatUUID(s.get(number).id)
}

// parseUUID reads the canonical form only: what it takes, formatUUID gives
// back unchanged.
func parseUUID(s string, id *[16]byte) bool {
	if len(s) != 36 {
		return false
	}
	var parsed [16]byte
	at := 0
	for i := 0; i < 36; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
			i++
			continue
		}
		high, low := nibble(s[i]), nibble(s[i+1])
		if high > 15 || low > 15 {
			return false
		}
		parsed[at] = high<<4 | low
		at++
		i += 2
	}
	*id = parsed
	return true
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

func formatUUID(id [16]byte) string {
	var s [36]byte
	hex.Encode(s[0:8], id[0:4])
	hex.Encode(s[9:13], id[4:6])
	hex.Encode(s[14:18], id[6:8])
	hex.Encode(s[19:23], id[8:10])
	hex.Encode(s[24:36], id[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
