package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/runtime/embedded"
	"github.com/ordbench/ordbench/system/services/gateway"
	"github.com/ordbench/ordbench/system/services/inventory"
	"github.com/ordbench/ordbench/system/services/notification"
	"github.com/ordbench/ordbench/system/services/order"
	"github.com/ordbench/ordbench/system/services/payment"
)

var quiet = slog.New(slog.DiscardHandler)

func TestUnknownComponentNamesTheNearest(t *testing.T) {
	for _, row := range []struct{ name, nearest string }{
		{"gatway", "gateway"}, {"orders", "order"}, {"inventry", "inventory"}, {"borker", "broker"}, {"Cache", "cache"}, {"", "cache"},
	} {
		err := Run(context.Background(), row.name, strings.NewReader("{}"), quiet)
		var unknown *UnknownComponentError
		if !errors.As(err, &unknown) || unknown.Nearest != row.nearest {
			t.Errorf("%q: %v, want nearest %s", row.name, err, row.nearest)
		}
	}
	got := (&UnknownComponentError{"gatway", "gateway"}).Error()
	want := `unknown component "gatway": did you mean "gateway"? There are broker, cache, order, inventory, payment, notification, gateway`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestConfigIsUnderstoodWhollyOrNotAtAll(t *testing.T) {
	for _, row := range []struct{ name, config, want string }{
		{"nothing", "", "order config: empty: want a JSON object"},
		{"white space", " \n", "order config: empty: want a JSON object"},
		{"null", "null", "order config: want a JSON object"},
		{"a list", "[]", "order config: want a JSON object"},
		{"an unknown key", `{"replica":"order-0","databse":"x"}`, `order config: unknown field "databse"`},
		{"a wrong type", `{"partitions":"many"}`, "order config: cannot unmarshal string into Go struct field Config.partitions of type int"},
		{"cut off", `{"replica":`, "order config: ends in the middle of an object"},
		{"broken", `{"replica" "x"}`, `order config: byte 12: invalid character '"' after object key`},
		{"two values", `{} {}`, "order config: byte 4: more than one value"},
		{"a value and a rest", `{} x`, "order config: byte 4: more than one value"},
		{"too long", `{"replica":"` + strings.Repeat("x", configLimit) + `"}`, "order config: longer than 1048576 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := Run(context.Background(), "order", strings.NewReader(row.config), quiet)
			if err == nil || err.Error() != row.want {
				t.Errorf("\n got %v\nwant %s", err, row.want)
			}
		})
	}
}

// What a runtime writes is what a component reads.
func TestConfigsSurviveJSON(t *testing.T) {
	survives(t, gateway.Config{Replica: "gateway-0", Orders: []string{"a:1"}, Timeout: 2 * time.Second,
		RateLimit: gateway.RateLimit{Requests: 100, Per: time.Minute}, TrustedProxies: []string{"127.0.0.0/8"}})
	survives(t, order.Config{Replica: "order-0", Brokers: []string{"a:1"}, Outbox: true, Grace: time.Second})
	survives(t, inventory.Config{Replica: "inventory-0", Work: 5 * time.Millisecond, SKUs: 10, Stock: 1 << 40})
	survives(t, payment.Config{Replica: "payment-0", Provider: payment.ProviderConfig{Seed: 1 << 60, Work: 2 * time.Millisecond, Decline: 0.02, Timeout: 0.1}})
	survives(t, notification.Config{Replica: "notification-0", Brokers: []string{"a:1"}, Inbox: true})
	survives(t, embedded.BrokerConfig{Replica: "broker-0", Listen: "a:1", Dir: "d"})
	survives(t, embedded.CacheConfig{Replica: "cache-0", Listen: "a:1", Dir: "d"})
}

func survives[C any](t *testing.T, want C) {
	t.Helper()
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got C
	if err := decodeStrict(bytes.NewReader(body), &got); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", body, diff)
	}
}

func TestEveryComponentRefusesAnEmptyConfig(t *testing.T) {
	for _, name := range Components() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		if err := Run(ctx, name, strings.NewReader("{}"), quiet); err == nil || ctx.Err() != nil {
			t.Errorf("%s with an empty config: %v", name, err)
		}
		cancel()
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	var addrs [3]string
	for i := range addrs {
		r, err := endpoint.Reserve("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		addrs[i] = r.Addr()
	}
	config, err := json.Marshal(gateway.Config{Replica: "gateway-7", Listen: addrs[0], Admin: addrs[1],
		Orders: addrs[2:], Inventories: addrs[2:], Timeout: time.Second, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan string, 8)
	log := slog.New(slog.NewTextHandler(writerFunc(func(line string) { started <- line }), nil))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, "gateway", bytes.NewReader(config), log) }()
	select {
	case line := <-started:
		if !strings.Contains(line, "replica=gateway-7") {
			t.Errorf("the log does not name the replica: %s", line)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	res, err := http.Get("http://" + addrs[1] + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("ready: %d", res.StatusCode)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

type writerFunc func(string)

func (f writerFunc) Write(b []byte) (int, error) { f(string(b)); return len(b), nil }

func FuzzDecodeStrict(f *testing.F) {
	f.Add([]byte(`{"replica":"gateway-0","orders":["127.0.0.1:1"],"timeout":2000000000}`))
	f.Add([]byte(`{"breaker":{"enabled":true,"failures":5,"open_for":30000000000}}`))
	f.Add([]byte(`{} {}`))
	f.Add([]byte("null"))
	f.Add([]byte{0xff, '{'})
	f.Fuzz(func(t *testing.T, data []byte) {
		var cfg gateway.Config
		if err := decodeStrict(bytes.NewReader(data), &cfg); err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if !json.Valid(data) {
			t.Errorf("accepted what is not JSON: %q", data)
		}
		survives(t, cfg)
		cfg.Validate()
	})
}
