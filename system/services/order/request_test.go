package order

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/system/events"
)

func TestDecodeReadsWhatPeopleOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want request
	}{
		"an order without items is one unit of the default SKU": {
			`{"user_id":"u123","total":99.95}`,
			request{"u123", 99_95, []events.Item{{SKU: events.DefaultSKU, Quantity: 1}}},
		},
		"items are taken as they are": {
			`{"user_id":"u","total":1,"items":[{"sku":"a","quantity":2},{"sku":"b","quantity":1}]}`,
			request{"u", 1_00, []events.Item{{SKU: "a", Quantity: 2}, {SKU: "b", Quantity: 1}}},
		},
		"lines of one SKU are added up": {
			`{"user_id":"u","total":0,"items":[{"sku":"a","quantity":2},{"sku":"b","quantity":1},{"sku":"a","quantity":3}]}`,
			request{"u", 0, []events.Item{{SKU: "a", Quantity: 5}, {SKU: "b", Quantity: 1}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode([]byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(request{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeSaysAllThatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want []string // one per problem
	}{
		"nothing":                    {``, []string{"ends before"}},
		"half an order":              {`{"user_id":`, []string{"ends before"}},
		"not JSON":                   {`user=1`, []string{"invalid character"}},
		"not an object":              {`[1]`, []string{"array is not an order"}},
		"two orders":                 {`{"user_id":"u","total":1} {}`, []string{"goes on"}},
		"a misspelt key":             {`{"user_id":"u","total":1,"item":[]}`, []string{`unknown field "item"`}},
		"a number for a name":        {`{"user_id":7,"total":1}`, []string{"user_id: number is not of the right type"}},
		"a fraction of a cent":       {`{"user_id":"u","total":1.001}`, []string{"fraction of a cent"}},
		"half a unit":                {`{"user_id":"u","total":1,"items":[{"sku":"a","quantity":0.5}]}`, []string{"quantity"}},
		"nothing that is needed":     {`{}`, []string{"user_id is missing", "total is missing"}},
		"a negative total":           {`{"user_id":"u","total":-1}`, []string{"total is negative"}},
		"a total beyond all money":   {`{"user_id":"u","total":1000000000.01}`, []string{"total is more than"}},
		"an empty basket":            {`{"user_id":"u","total":1,"items":[]}`, []string{"items is empty"}},
		"items that are not":         {`{"user_id":"u","total":1,"items":[{}]}`, []string{"sku is missing", "quantity is not positive"}},
		"more than there is":         {`{"user_id":"u","total":1,"items":[{"sku":"a","quantity":1000001}]}`, []string{"quantity is more than"}},
		"a line break in a name":     {`{"user_id":"u\nv","total":1}`, []string{"do not print"}},
		"a name as long as a letter": {`{"user_id":"` + strings.Repeat("u", 129) + `","total":1}`, []string{"longer than 128"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode([]byte(tc.body))
			var bad badRequest
			if !errors.As(err, &bad) {
				t.Fatalf("error is %v, want a badRequest", err)
			}
			if len(bad) != len(tc.want) {
				t.Fatalf("problems %q, want %d", bad, len(tc.want))
			}
			for i, want := range tc.want {
				if !strings.Contains(bad[i], want) {
					t.Errorf("problem %q, want %q", bad[i], want)
				}
			}
		})
	}
}

// What decode accepts must go through the whole system: it has an event that
// consumers accept, and a fingerprint of its own.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"user_id":"u123","total":99.95}`))
	f.Add([]byte(`{"user_id":"u","total":1,"items":[{"sku":"a","quantity":2},{"sku":"a","quantity":3}]}`))
	f.Add([]byte(`{"user_id":"\ud800","total":1e2}`))
	f.Add([]byte(`{"user_id":"u","total":null,"items":null}`))
	f.Add([]byte("{\"user_id\":\"\xff\",\"total\":0}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decode(body)
		if err != nil {
			var bad badRequest
			if !errors.As(err, &bad) || len(bad) == 0 {
				t.Fatalf("error is %#v, want a badRequest", err)
			}
			return
		}
		m, err := created("order", r, time.UnixMicro(1))
		if err != nil {
			t.Fatalf("an accepted order has no event: %v", err)
		}
		e, err := events.Decode(m.Payload)
		if err != nil {
			t.Fatalf("an accepted order has an event that nobody can read: %v", err)
		}
		if e.UserID != r.userID || e.Total != r.total || !cmp.Equal(e.Items, r.items) {
			t.Fatalf("the event %+v does not tell of the order %+v", e, r)
		}
		seen := map[string]bool{}
		for _, item := range r.items {
			if seen[item.SKU] {
				t.Fatalf("%s is there twice", item.SKU)
			}
			seen[item.SKU] = true
		}
		items, err := json.Marshal(r.items)
		if err != nil {
			t.Fatal(err)
		}
		other := r
		other.userID += "x"
		if r.fingerprint(items) != r.fingerprint(bytes.Clone(items)) || r.fingerprint(items) == other.fingerprint(items) {
			t.Fatal("the fingerprint does not tell requests apart")
		}
	})
}
