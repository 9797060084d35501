package events

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func created() Event {
	return Event{
		Type:      OrderCreated,
		EventID:   "e-1",
		OrderID:   "o-1",
		UserID:    "u-1",
		Total:     1999,
		Timestamp: At(time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)),
		Items:     []Item{{SKU: DefaultSKU, Quantity: 2}},
	}
}

func TestEncodeKeepsTheKeysOfTheWire(t *testing.T) {
	got, err := created().Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event":"order.created","event_id":"e-1","order_id":"o-1","user_id":"u-1","total":19.99,` +
		`"timestamp":1777636800.123456,"items":[{"sku":"sku-0001","quantity":2}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	back, err := Decode(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created(), back); diff != "" {
		t.Errorf("decoded again (-want +got):\n%s", diff)
	}
}

func TestDecodeSaysEverythingThatIsMissing(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want []string // in the error; none: it is accepted
	}{
		{"a reservation", `{"event":"inventory.reserved","event_id":"e","order_id":"o","total":1,"timestamp":1.5,"items":[{"sku":"s","quantity":1}]}`, nil},
		{"a rejection", `{"event":"inventory.rejected","event_id":"e","order_id":"o","timestamp":1,"reason":"sold out"}`, nil},
		{"a key of a newer producer", `{"event":"inventory.rejected","event_id":"e","order_id":"o","timestamp":1,"reason":"r","trace":"t"}`, nil},
		{"a payment", `{"event":"payment.captured","event_id":"e","order_id":"o","timestamp":1,"items":[{"sku":"s","quantity":1}]}`, nil},
		{"a payment for nothing", `{"event":"payment.captured","event_id":"e","order_id":"o","timestamp":1}`, []string{"items are missing"}},
		{"a decline", `{"event":"payment.declined","event_id":"e","order_id":"o","timestamp":1,"items":[{"sku":"s","quantity":1}],"reason":"r"}`, nil},
		{"a decline of nothing for nothing", `{"event":"payment.declined","event_id":"e","order_id":"o","timestamp":1}`, []string{"items are missing", "reason is missing"}},
		{"an empty object", `{}`, []string{"event_id is missing", "order_id is missing", "timestamp is missing", "event is missing"}},
		{"an unknown type", `{"event":"order.lost","event_id":"e","order_id":"o","timestamp":1}`, []string{`"order.lost" is of no known type`}},
		{"an order without a user or items", `{"event":"order.created","event_id":"e","order_id":"o","timestamp":1,"total":1}`, []string{"user_id is missing", "items are missing"}},
		{"an item without a quantity", `{"event":"inventory.reserved","event_id":"e","order_id":"o","timestamp":1,"items":[{"sku":"s"}]}`, []string{"items[0].quantity is not positive: 0"}},
		{"a rejection without a reason", `{"event":"inventory.rejected","event_id":"e","order_id":"o","timestamp":1}`, []string{"reason is missing"}},
		{"a negative total", `{"event":"inventory.rejected","event_id":"e","order_id":"o","timestamp":1,"reason":"r","total":-1}`, []string{"total is negative: -1.00"}},
		{"a total with a fraction of a cent", `{"event":"order.created","total":1.005}`, []string{"1.005 has a fraction of a cent"}},
		{"a total as a string", `{"event":"order.created","total":"1.00"}`, []string{"not a plain decimal number"}},
		{"a total of null", `{"event":"order.created","total":null}`, []string{"null is not a plain decimal number"}},
		{"not JSON", `order created`, []string{"invalid character"}},
		{"two events", `{} {}`, []string{"invalid character"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.in))
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error: %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	e := created()
	e.OrderID = ""
	if _, err := e.Encode(); err == nil || !strings.Contains(err.Error(), "encode event e-1: order_id is missing") {
		t.Fatal(err)
	}
}

func FuzzDecode(f *testing.F) {
	seed, err := created().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"event":"inventory.rejected","event_id":"e","order_id":"o","timestamp":1.0000019,"reason":"r","total":0.10}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("encoded but not decoded: %v\n%s", err, again)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Fatalf("changed by a round trip:\n%s", diff)
		}
	})
}
