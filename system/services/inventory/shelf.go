package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// shelf is the articles that a batch of events asks for, as they are while it
// is worked off. Nobody else changes them until the transaction ends, so they
// are read once and written once, however many orders want them.
type shelf map[string]*place

// place is one article. What changes is kept as a difference, so that it is
// added to what is there.
type place struct {
	available             int64 // now, with all that the batch has done
	taken, reserved, sold int64 // differences: taken from available, added to the others
}

// writeSize is how many articles one statement writes.
const writeSize = 16

// updateShelf is unconditional: what was reserved for an order is there to be
// sold or given back, and if it is done twice, the books have to show it. A
// change is an article and what is taken from it, reserved and sold.
var updateShelf = `UPDATE stock SET available = available - change.column2, reserved = reserved + change.column3, sold = sold + change.column4
	FROM (VALUES ` + change + strings.Repeat(", "+change, writeSize-1) + `) AS change WHERE sku = change.column1`

const change = `(?, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT))`

// reach locks and reads what batch asks for. An article that does not exist
// has no place.
func reach(tx *store.Tx, batch []events.Event) (shelf, error) {
	var skus []string
	for _, e := range batch {
		for _, item := range e.Items {
			skus = append(skus, item.SKU)
		}
	}
	slices.Sort(skus)
	skus = slices.Compact(skus)
	available, err := tx.LockRows("stock", "sku", "available", skus)
	s := make(shelf, len(available))
	for sku, n := range available {
		s[sku] = &place{available: n}
	}
	return s, err
}

// reserve takes every item, or none: then lack says for people why item can't
// be had.
func (s shelf) reserve(items []events.Item) (item events.Item, lack string) {
	for i, item := range items {
		p := s[item.SKU]
		if p != nil && p.available >= item.Quantity {
			p.change(item.Quantity, item.Quantity, 0)
			continue
		}
		for _, taken := range items[:i] {
			s.release(taken)
		}
		if p == nil {
			return item, fmt.Sprintf("%s: %s", item.SKU, errNoSuchSKU)
		}
		return item, fmt.Sprintf("%s: %d wanted, %d available", item.SKU, item.Quantity, p.available)
	}
	return events.Item{}, ""
}

func (s shelf) sell(item events.Item) { s[item.SKU].change(0, -item.Quantity, item.Quantity) }

func (s shelf) release(item events.Item) { s[item.SKU].change(-item.Quantity, -item.Quantity, 0) }

// back returns what was sold. It adds up with the sale in any order.
func (s shelf) back(item events.Item) { s[item.SKU].change(-item.Quantity, 0, -item.Quantity) }

func (p *place) change(taken, reserved, sold int64) {
	if p == nil {
		return // an article that does not exist was never reserved
	}
	p.available -= taken
	p.taken, p.reserved, p.sold = p.taken+taken, p.reserved+reserved, p.sold+sold
}

// write puts every change into the books.
func (s shelf) write(tx *store.Tx) error {
	var args []any
	for sku, p := range s {
		if p.taken == 0 && p.reserved == 0 && p.sold == 0 {
			continue
		}
		if args = append(args, sku, p.taken, p.reserved, p.sold); len(args) == writeSize*4 {
			if err := tx.Defer(updateShelf, args...); err != nil {
				return err
			}
			args = nil
		}
	}
	if args == nil {
		return nil
	}
	for len(args) < writeSize*4 { // no article has this name
		args = append(args, "", 0, 0, 0)
	}
	return tx.Defer(updateShelf, args...)
}
