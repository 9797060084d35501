package reports

// The invariants that a run is checked for, by their stable ids.
const (
	LedgerComplete    = "ledger-complete"     // every attempt that was made stands in the ledger
	AcceptedOnce      = "accepted-once"       // an accepted order has one row and comes to an end
	EffectOnce        = "effect-once"         // a stock effect happens once for each order
	ChargedOnce       = "charged-once"        // a completed order was charged once; any other not at all, or it was refunded
	NotifiedOnce      = "notified-once"       // a customer was told once how an order ended, and nothing else
	OneOrderPerKey    = "one-order-per-key"   // an idempotency key makes one order
	NoPhantom         = "no-phantom"          // a refused attempt leaves no order
	NoUnexpected      = "no-unexpected"       // an order was attempted
	EffectsHaveOrders = "effects-have-orders" // a stock effect, a charge, a notification belongs to an order
	StockConserved    = "stock-conserved"     // initial = available + reserved + sold = what the movements say; nothing stays reserved
	LedgerBalanced    = "ledger-balanced"     // the sides of a transaction make zero, and each charge stands there once
	OutboxPublished   = "outbox-published"    // a promised event is in its topic
	EventsHaveRows    = "events-have-rows"    // an event in a topic comes from a committed row
	Delivered         = "delivered"           // an event in a topic had its effects
	AllTerminal       = "all-terminal"        // an order comes to an end
	Consumed          = "consumed"            // each event that a group must handle is handled or laid aside
	LaidAside         = "laid-aside"          // a dead letter says whose it is and why, and its order does not just wait
	NothingInDoubt    = "nothing-in-doubt"    // in two-phase commit: no promise waits for its end, no decision for who must hear it
	OrderPerKey       = "order-per-key"       // within a topic the events of an order lie in the order in which they happened
	StatusValid       = "status-valid"        // a status is known and agrees with the stock
)

// The outcomes of an invariant.
const (
	Held    = "held"
	Broken  = "broken"
	Unknown = "unknown" // what was read does not suffice to say
)
