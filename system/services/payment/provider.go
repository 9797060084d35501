package payment

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/store"
)

// providerSchema is the provider's own book: what was moved, by the key under
// which it was asked for. It lies in the file of the service for want of a
// provider with a file of its own; the service never joins it with its own
// rows in one transaction.
var providerSchema = []string{
	`CREATE TABLE IF NOT EXISTS provider_charges (
		key          TEXT PRIMARY KEY,
		order_id     TEXT NOT NULL,
		amount_cents BIGINT NOT NULL,
		outcome      TEXT NOT NULL,
		at           BIGINT NOT NULL
	) WITHOUT ROWID`,
}

const (
	insertCharge = `INSERT INTO provider_charges (key, order_id, amount_cents, outcome, at)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`
	selectCharge = `SELECT outcome FROM provider_charges WHERE key = ?`
)

var selectCharges = `SELECT key, outcome FROM provider_charges
	WHERE key IN (?` + strings.Repeat(", ?", maxBatch-1) + `)`

// outcome is what the provider says about a charge.
type outcome string

const (
	captured outcome = "captured" // the money was moved
	declined outcome = "declined" // it was not, and will not be
	held     outcome = "held"     // it is set aside for us, to be captured or let go
	voided   outcome = "voided"   // what was held, or would have been, was let go
	refunded outcome = "refunded" // it was moved back
	unheard  outcome = ""         // no answer in time: it may have been either, or never have arrived

	calledOff outcome = "called off" // declined, because the order was cancelled before
)

// purpose is what the provider is asked to do.
type purpose int

const (
	pay      purpose = iota
	setAside         // only hold the money
	void             // decline, if the key was not seen yet
	giveBack         // refund, under a key of its own
)

// charge is one order's money, there or back.
type charge struct {
	key     string // one key, one charge, however often it is asked for
	purpose purpose
	orderID string
	userID  string
	amount  events.Money
}

// provider simulates the company that moves the money. It keeps the promise
// that matters: what is charged twice under one key is charged once, and who
// has lost the answer can ask for it under the key. Its moods follow the seed
// and what is bought by whom, so that a run repeated is declined again for
// the same orders.
type provider struct {
	db  *store.DB
	cfg ProviderConfig
}

// patience is how many times the average a charge may take before the caller
// gives up waiting for the answer. Answers that come at all come within one
// and a half.
const patience = 4

// charge asks for all of charges at the same time and returns an outcome for
// each, when the slowest has answered or was given up. round counts how often
// the caller has come with these.
func (p *provider) charge(ctx context.Context, charges []charge, round int, now func() time.Time) ([]outcome, error) {
	var slowest time.Duration
	arrived := make([]bool, len(charges))
	answered := make([]bool, len(charges))
	for i, c := range charges {
		// Half of what is not answered never arrived; of the other half
		// only the answer was lost.
		mood := p.mood(c, fmt.Sprint("timeout ", round))
		silent := p.cfg.Timeout
		if lever.TimeoutProvider.Acts() != nil {
			silent = 1
		}
		answered[i] = mood >= silent
		arrived[i] = answered[i] || mood < silent/2
		took := time.Duration((0.5 + p.mood(c, fmt.Sprint("latency ", round))) * float64(p.cfg.Work))
		if !answered[i] {
			took = patience * p.cfg.Work
		}
		slowest = max(slowest, took)
	}
	if s := lever.SlowProvider.Acts(); s != nil {
		slowest += s.Delay
	}
	if err := pause(ctx, slowest); err != nil {
		return nil, err
	}
	outcomes := make([]outcome, len(charges))
	err := p.db.Write(ctx, func(tx *store.Tx) error {
		var came []int
		var rows [][]any
		for i, c := range charges {
			outcomes[i] = unheard
			if arrived[i] {
				came = append(came, i)
				decided := p.decide(c)
				if answered[i] {
					outcomes[i] = decided
				}
				rows = append(rows, []any{c.key, c.orderID, int64(c.amount), string(decided), now().UnixMicro()})
			}
		}
		added, err := tx.ExecEach(insertCharge, rows)
		if err != nil {
			return err
		}
		for n, i := range came {
			if answered[i] && added[n] == 0 { // its key was decided about before
				if err := tx.QueryRow(selectCharge, charges[i].key).Scan(&outcomes[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("provider: charge %d orders: %w", len(charges), err)
	}
	return outcomes, nil
}

// decide is what the provider does with a charge that it has not seen.
func (p *provider) decide(c charge) outcome {
	switch c.purpose {
	case void:
		return declined
	case giveBack:
		return refunded
	}
	if p.mood(c, "decline") < p.cfg.Decline || lever.DeclineProvider.Acts() != nil {
		return declined
	}
	if c.purpose == setAside {
		return held
	}
	return captured
}

// find asks what became of charges, by their keys. A key that the provider
// has never seen is not in the answer.
func (p *provider) find(ctx context.Context, charges []charge) (map[string]outcome, error) {
	if err := pause(ctx, p.cfg.Work); err != nil {
		return nil, err
	}
	known := map[string]outcome{}
	for first := 0; first < len(charges); first += maxBatch {
		args := make([]any, maxBatch)
		for i := range args { // filled up with the last one
			args[i] = charges[min(first+i, len(charges)-1)].key
		}
		rows, err := p.db.Query(ctx, selectCharges, args...)
		if err != nil {
			return nil, fmt.Errorf("provider: %w", err)
		}
		for rows.Next() {
			var key string
			var o outcome
			if err := rows.Scan(&key, &o); err != nil {
				rows.Close()
				return nil, fmt.Errorf("provider: %w", err)
			}
			known[key] = o
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("provider: %w", err)
		}
	}
	return known, nil
}

// mood is a number from 0 to less than 1, the same for the same customer,
// amount and question.
func (p *provider) mood(c charge, question string) float64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, [2]int64{p.cfg.Seed, int64(c.amount)}) // a hash takes everything
	_, _ = h.Write([]byte(question))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(c.userID))
	x := h.Sum64()
	// The high bits of FNV are the poor ones: mixed, all of them are good.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / math.Exp2(53)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
