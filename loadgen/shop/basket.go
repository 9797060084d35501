package shop

import (
	"fmt"
	"math/rand/v2"
)

// basket is what one order buys: one to three different SKUs.
type basket struct {
	items [3]item
	n     int
}

type item struct {
	sku      uint64 // from 0
	quantity uint64
}

// fill draws a basket in place of the last.
func (b *basket) fill(rng *rand.Rand, skus *rand.Zipf) {
	size := 1
	switch p := rng.Float64(); {
	case p < 0.15:
		size = 3
	case p < 0.40:
		size = 2
	}
	b.n = 0
	for range size {
		b.add(skus.Uint64(), quantity(rng))
	}
}

// quantity is mostly one.
func quantity(rng *rand.Rand) uint64 {
	switch p := rng.Float64(); {
	case p < 0.05:
		return 3
	case p < 0.20:
		return 2
	}
	return 1
}

// add puts n of a SKU into the basket, to those that are there already.
func (b *basket) add(sku, n uint64) {
	for i := range b.items[:b.n] {
		if b.items[i].sku == sku {
			b.items[i].quantity += n
			return
		}
	}
	b.items[b.n] = item{sku, n}
	b.n++
}

// append is the body of the order.
func (b *basket) append(body []byte, customer uint64) []byte {
	total := uint64(0)
	for _, i := range b.items[:b.n] {
		total += i.quantity * priceCents(i.sku)
	}
	body = appendUser(append(body, `{"user_id":"`...), customer)
	body = fmt.Appendf(body, `","total":%d.%02d,"items":[`, total/100, total%100)
	for n, i := range b.items[:b.n] {
		if n > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"sku":"sku-%04d","quantity":%d}`, i.sku+1, i.quantity)
	}
	return append(body, "]}"...)
}

// priceCents is the price of a SKU, 5.00 to 99.99.
func priceCents(sku uint64) uint64 { return 500 + mix(sku)%9500 }
