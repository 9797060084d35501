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

// reachSize is how many articles one statement reads.
const reachSize = 32

var (
	selectShelf = `SELECT sku, available FROM stock WHERE sku IN (?` + strings.Repeat(", ?", reachSize-1) + `)`
	// Unconditional: what was reserved for an order is there to be sold or
	// given back, and if it is done twice, the books have to show it.
	updateShelf = `UPDATE stock SET available = available - ?, reserved = reserved + ?, sold = sold + ? WHERE sku = ?`
)

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
	if err := tx.LockRows("stock", "sku", skus); err != nil {
		return nil, err
	}
	s := shelf{}
	for first := 0; first < len(skus); first += reachSize {
		args := make([]any, reachSize)
		for i := range args { // filled up with the last one
			args[i] = skus[min(first+i, len(skus)-1)]
		}
		if err := s.read(tx, args); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s shelf) read(tx *store.Tx, skus []any) error {
	rows, err := tx.Query(selectShelf, skus...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sku string
		p := new(place)
		if err := rows.Scan(&sku, &p.available); err != nil {
			return err
		}
		s[sku] = p
	}
	return rows.Err()
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
	for sku, p := range s {
		if p.taken == 0 && p.reserved == 0 && p.sold == 0 {
			continue
		}
		if err := tx.Defer(updateShelf, p.taken, p.reserved, p.sold, sku); err != nil {
			return err
		}
	}
	return nil
}
