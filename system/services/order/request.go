package order

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/ordbench/ordbench/system/events"
)

// What one order may ask for. The bounds are generous to people and tight
// enough that no request can hurt the service.
const (
	maxBody     = 64 << 10 // bytes
	maxUserID   = 128      // bytes
	maxTotal    = events.Money(1_000_000_000_00)
	maxItems    = 100
	maxSKU      = 64 // bytes
	maxQuantity = 1_000_000
	maxKey      = 255 // bytes
)

// request is a valid order that somebody wants to place.
type request struct {
	userID string
	total  events.Money
	items  []events.Item // at least one, each SKU once
}

// badRequest lists everything that is wrong with a request.
type badRequest []string

func (b badRequest) Error() string { return strings.Join(b, "; ") }

// decode reads the body of POST /orders. An order without items is one unit
// of the default SKU; lines of one SKU become one line, so that an order
// moves each SKU once. Unknown keys are errors: a misspelt "items" must not
// become an order of something else. The error is a badRequest.
func decode(body []byte) (request, error) {
	var in struct {
		UserID string         `json:"user_id"`
		Total  *events.Money  `json:"total"`
		Items  *[]events.Item `json:"items"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return request{}, badRequest{explain(err)}
	}
	if _, err := dec.Token(); err != io.EOF {
		return request{}, badRequest{"body goes on after the order"}
	}

	var problems badRequest
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	r := request{userID: in.UserID}
	need(in.UserID != "", "user_id is missing")
	need(len(in.UserID) <= maxUserID, "user_id is longer than %d bytes", maxUserID)
	need(printable(in.UserID), "user_id has characters that do not print")
	if in.Total == nil {
		need(false, "total is missing")
	} else {
		r.total = *in.Total
		need(r.total >= 0, "total is negative: %s", r.total)
		need(r.total <= maxTotal, "total is more than %s", maxTotal)
	}
	switch {
	case in.Items == nil:
		r.items = []events.Item{{SKU: events.DefaultSKU, Quantity: 1}}
	case len(*in.Items) == 0:
		need(false, "items is empty: leave it out for one unit of %s", events.DefaultSKU)
	case len(*in.Items) > maxItems:
		need(false, "items are more than %d", maxItems)
	default:
		for i, item := range *in.Items {
			need(item.SKU != "", "items[%d].sku is missing", i)
			need(len(item.SKU) <= maxSKU, "items[%d].sku is longer than %d bytes", i, maxSKU)
			need(printable(item.SKU), "items[%d].sku has characters that do not print", i)
			need(item.Quantity > 0, "items[%d].quantity is not positive: %d", i, item.Quantity)
			need(item.Quantity <= maxQuantity, "items[%d].quantity is more than %d", i, maxQuantity)
		}
		r.items = merge(*in.Items)
	}
	if problems != nil {
		return request{}, problems
	}
	return r, nil
}

// explain says what is wrong with a body in the words of the body, not of Go.
func explain(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("%s: %s is not of the right type", kind.Field, kind.Value)
	case errors.As(err, &kind):
		return fmt.Sprintf("body: %s is not an order", kind.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "body: ends before the order does"
	default:
		return "body: " + strings.TrimPrefix(err.Error(), "json: ")
	}
}

// merge adds up the lines of each SKU, in the order of their first lines.
func merge(items []events.Item) []events.Item {
	merged := items[:0]
	for _, item := range items {
		known := false
		for i := range merged {
			if known = merged[i].SKU == item.SKU; known {
				merged[i].Quantity += item.Quantity
				break
			}
		}
		if !known {
			merged = append(merged, item)
		}
	}
	return merged
}

// checkKey says what is wrong with an idempotency key.
func checkKey(key string) error {
	switch {
	case key == "":
		return badRequest{"Idempotency-Key is missing"}
	case len(key) > maxKey:
		return badRequest{fmt.Sprintf("Idempotency-Key is longer than %d bytes", maxKey)}
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return badRequest{"Idempotency-Key has characters that are not printable ASCII"}
		}
	}
	return nil
}

// printable says whether s has only characters that a log line can show.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// fingerprint tells requests apart: one idempotency key stands for one of
// them. items is r.items as JSON.
func (r request) fingerprint(items []byte) string {
	b := make([]byte, 0, len(r.userID)+len(items)+32)
	b = strconv.AppendQuote(b, r.userID)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(r.total), 10)
	b = append(b, ' ')
	sum := sha256.Sum256(append(b, items...))
	return hex.EncodeToString(sum[:])
}
