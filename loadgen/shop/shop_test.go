package shop

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

func open(t testing.TB, cfg Config) *Shop {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// next is call number seq of s.
func next(s *Shop, seq uint64) *loadgen.Call {
	c := &loadgen.Call{Seq: seq}
	s.Next(c)
	return c
}

func header(c *loadgen.Call, name string) string {
	for _, f := range c.Header {
		if f.Name == name {
			return string(f.Value)
		}
	}
	return ""
}

// text is all that the target sees of c.
func text(c *loadgen.Call) string {
	var b strings.Builder
	b.WriteString(c.Method + " " + string(c.Path) + "\n")
	for _, f := range c.Header {
		b.WriteString(f.Name + ": " + string(f.Value) + "\n")
	}
	b.Write(c.Body)
	return b.String()
}

func TestOrderIsWhatTheSystemTakes(t *testing.T) {
	s := open(t, Config{Seed: 7, Customers: 300, SKUs: 20})
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$`)
	keys := map[string]bool{}
	for seq := range uint64(5000) {
		c := next(s, seq)
		if c.Op != PlaceOrder || c.Method != http.MethodPost || string(c.Path) != "/orders" {
			t.Fatalf("%s %s %s", c.Op, c.Method, c.Path)
		}
		var body struct {
			UserID string      `json:"user_id"`
			Total  json.Number `json:"total"`
			Items  []struct {
				SKU      string
				Quantity uint64
			}
		}
		in := json.NewDecoder(bytes.NewReader(c.Body))
		in.DisallowUnknownFields()
		if err := in.Decode(&body); err != nil {
			t.Fatalf("%s: %v", c.Body, err)
		}
		cents, seen := uint64(0), map[string]bool{}
		for _, i := range body.Items {
			n, err := strconv.ParseUint(strings.TrimPrefix(i.SKU, "sku-"), 10, 64)
			if err != nil || n < 1 || n > 20 || i.Quantity < 1 || seen[i.SKU] {
				t.Fatalf("item %+v in %s", i, c.Body)
			}
			seen[i.SKU] = true
			cents += i.Quantity * priceCents(n-1)
		}
		if total, err := body.Total.Float64(); err != nil || math.Round(total*100) != float64(cents) || len(body.Items) < 1 || len(body.Items) > 3 {
			t.Fatalf("total of %s is not %d cents", c.Body, cents)
		}
		addr, err := netip.ParseAddr(header(c, "X-Forwarded-For"))
		if err != nil || !netip.MustParsePrefix("10.0.0.0/8").Contains(addr) {
			t.Fatalf("customer at %q", header(c, "X-Forwarded-For"))
		}
		key := string(c.Key)
		if header(c, "Idempotency-Key") != key || !uuid.MatchString(key) || keys[key] {
			t.Fatalf("key %q, header %q", key, header(c, "Idempotency-Key"))
		}
		keys[key] = true
	}
}

func TestSameSeedIsTheSameSequence(t *testing.T) {
	a, b, other := open(t, Config{Seed: 1}), open(t, Config{Seed: 1}), open(t, Config{Seed: 2})
	same := 0
	var reused loadgen.Call // memory of earlier calls leaves no trace
	for seq := range uint64(1000) {
		want := text(next(a, seq))
		reused.Reset()
		reused.Seq = seq
		b.Next(&reused)
		if got := text(&reused); got != want {
			t.Fatalf("call %d:\n%s\n%s", seq, got, want)
		}
		if text(next(other, seq)) == want {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d calls of another seed are the same", same)
	}
}

func TestCallDependsOnItsNumberOnly(t *testing.T) {
	a, b := open(t, Config{Seed: 1}), open(t, Config{Seed: 1})
	want := map[uint64]string{}
	for seq := range uint64(100) {
		want[seq] = text(next(a, seq))
	}
	for seq := uint64(99); seq > 0; seq-- {
		if got := text(next(b, seq)); got != want[seq] {
			t.Fatalf("call %d:\n%s\n%s", seq, got, want[seq])
		}
	}
}

// reply is an answer without headers.
func reply(status int, body string) *loadgen.Reply {
	return &loadgen.Reply{Status: status, Body: []byte(body), Header: func(string) string { return "" }}
}

func TestMixIsKept(t *testing.T) {
	s := open(t, Config{Mix: map[loadgen.Op]float64{PlaceOrder: 80, ReadOrder: 20}})
	for seq := range uint64(100) {
		if op := next(s, seq).Op; op != PlaceOrder {
			t.Fatalf("%s before any order was accepted", op)
		}
	}
	first := next(s, 100)
	s.Judge(first, reply(202, `{"order_id":"o-1"}`))
	reads := 0
	for seq := uint64(101); seq < 20_101; seq++ {
		c := next(s, seq)
		if c.Op == PlaceOrder {
			continue
		}
		reads++
		if c.Method != http.MethodGet || string(c.Path) != "/orders/o-1" || len(c.Key) > 0 || len(c.Body) > 0 {
			t.Fatalf("read: %s", text(c))
		}
		if got, want := header(c, "X-Forwarded-For"), header(first, "X-Forwarded-For"); got != want {
			t.Fatalf("read as %s, placed by %s", got, want)
		}
	}
	if math.Abs(float64(reads)-4000) > 230 { // 4 standard deviations
		t.Errorf("%d reads of 20,000, want about 4,000", reads)
	}
}

func TestReadsAskForRecentOrders(t *testing.T) {
	s := open(t, Config{Mix: map[loadgen.Op]float64{ReadOrder: 1}})
	order := next(s, 0)
	for i := range 3000 {
		s.Judge(order, reply(202, `{"order_id":"`+strconv.Itoa(i)+`"}`))
	}
	asked := map[string]bool{}
	for seq := range uint64(20_000) {
		path := string(next(s, seq).Path)
		n, err := strconv.Atoi(strings.TrimPrefix(path, "/orders/"))
		if err != nil || n < 3000-1024 {
			t.Fatalf("asked for %s", path)
		}
		asked[path] = true
	}
	if len(asked) < 1000 {
		t.Errorf("asked for %d different orders, want nearly all 1,024", len(asked))
	}
}

func TestCustomersAndGoodsAreSkewed(t *testing.T) {
	s := open(t, Config{Customers: 5000, SKUs: 100})
	const calls = 60_000
	customers, skus := map[string]int{}, map[string]int{}
	sku := regexp.MustCompile(`sku-\d+`)
	for seq := range uint64(calls) {
		c := next(s, seq)
		customers[header(c, "X-Forwarded-For")]++
		skus[sku.FindString(string(c.Body))]++
	}
	busiest := 0
	for _, n := range customers {
		busiest = max(busiest, n)
	}
	if share := float64(busiest) / calls; share < 0.0006 || share > 0.0015 {
		t.Errorf("the busiest customer makes %.4f of the traffic, want about 0.001", share)
	}
	if len(customers) < 4800 {
		t.Errorf("%d of 5,000 customers came", len(customers))
	}
	if share := float64(skus["sku-0001"]) / calls; share < 0.15 || share > 0.35 {
		t.Errorf("the hottest SKU is %.2f of the sales, want it hot", share)
	}
}

func TestSmallestShop(t *testing.T) {
	s := open(t, Config{Customers: 1, SKUs: 1})
	for seq := range uint64(100) {
		c := next(s, seq)
		if got := header(c, "X-Forwarded-For"); got != "10.0.0.1" || !strings.Contains(string(c.Body), `"user-000000"`) {
			t.Fatalf("customer %s: %s", got, c.Body)
		}
	}
}

func TestLargestShop(t *testing.T) {
	if got := string(appendAddress(nil, maxCustomers-1)); got != "10.255.255.254" {
		t.Errorf("the last customer is at %s", got)
	}
}

func TestWrongConfigIsReportedAsAWhole(t *testing.T) {
	_, err := New(Config{Customers: -1, SKUs: -1, Mix: map[loadgen.Op]float64{"place_ordr": 1, ReadOrder: -2}})
	for _, want := range []string{"-1 customers", "-1 SKUs", `no operation "place_ordr"; there are place_order, read_order`, "share -2", "add up to 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	s := open(b, Config{})
	c := &loadgen.Call{}
	for b.Loop() {
		c.Reset()
		c.Seq++
		s.Next(c)
	}
}

func BenchmarkJudge(b *testing.B) {
	s := open(b, Config{})
	c := next(s, 1)
	r := reply(202, `{"order_id":"019a1234-5678-7abc-8def-0123456789ab","status":"PENDING"}`)
	r.Done = time.Second
	for b.Loop() {
		s.Judge(c, r)
	}
}
