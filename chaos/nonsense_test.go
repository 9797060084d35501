package chaos

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// nonsense is what nobody can mean with a value of each kind.
var nonsense = map[Kind][]string{
	Duration: {"", "soon", "5", "-1s", "1e400s", "99999999999h"},
	Offset:   {"", "soon", "5"},
	Count:    {"", "-1", "1.5", "many", "99999999999"},
	Share:    {"", "0%", "-5%", "100.1%", "1000%", "50", "NaN%", "half"},
	Amount:   {"-1", "0%", "101%", "some", "1.5"},
	Bytes:    {"", "-1", "64 parsecs", "NaN", "Inf", "1e300GiB"},
	Rate:     {"", "0/s", "-1KiB/s", "64KiB", "fast"},
	Cores:    {"", "0", "-1", "NaN", "all", "1e9"},
	Word:     {""},
}

// TestNonsenseIsRefusedBeforeAnythingIsTouched goes through every fault with
// every value that makes no sense and every target that it does not work on.
func TestNonsenseIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	refuse := func(t *testing.T, s Spec, field string) {
		t.Helper()
		l := newLab("gateway-0", "order-0", "inventory-0", "payment-0", "notification-0", "broker-0", "cache-0")
		e := New(l, nil, nil)
		_, err := e.Inject(t.Context(), s)
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Field != field || usage.Message == "" {
			t.Errorf("%+v: %v (of %q), want a complaint of %s", s, err, fieldOf(usage), field)
		}
		if n := strings.Count(usage.Error(), "\n"); n > 0 {
			t.Errorf("%+v: %d lines", s, n+1)
		}
		if len(e.Records()) > 0 {
			t.Errorf("%+v stands in the records", s)
		}
	}
	for _, d := range definitions() {
		t.Run(d.Name, func(t *testing.T) {
			sound := func() Spec {
				s := Spec{Fault: d.Name, Target: d.Targets[0], Options: Options{}}
				if d.Name == failpoint.Name {
					s.Options["point"] = Points(s.Target)[0]
				}
				return s
			}
			if problems := sound().Validate(); len(problems) > 0 {
				t.Fatal(problems[0])
			}
			for _, target := range []string{"", "moon", "inventory-", "inventory--1", "inventory-x", "order->inventory", "gateway|", "gateway|gateway", "->", "inventory-0-0"} {
				s := sound()
				s.Target = target
				refuse(t, s, "target")
			}
			for _, component := range components {
				s := sound()
				if s.Target = component; d.on != onReplicas || !slices.Contains(d.Targets, component) {
					refuse(t, s, "target")
				}
			}
			for _, o := range d.Options {
				values := nonsense[o.Kind]
				if len(o.Words) > 0 {
					values = append(values[:len(values):len(values)], "sideways")
				}
				for _, v := range values {
					s := sound()
					s.Options[o.Name] = v
					refuse(t, s, o.Name)
				}
			}
			s := sound()
			s.Options["happiness"] = "1"
			refuse(t, s, "happiness")
		})
	}
}

func fieldOf(u *UsageError) string {
	if u == nil {
		return ""
	}
	return u.Field
}

// TestImpossibleCombinationsAreRefused is about what makes no sense together.
func TestImpossibleCombinationsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		fault, target string
		options       Options
		want          string
	}{
		{"failpoint", "inventory", Options{"point": "inventory.after-comit"}, `"inventory.after-comit" is no point of inventory (did you mean "inventory.after-commit"?)`},
		{"failpoint", "inventory", Options{"point": "payment.after-charge"}, `"payment.after-charge" is no point of inventory (it is one of payment)`},
		{"failpoint", "inventory-0", Options{"point": "NONSENSE"}, `"NONSENSE" is no point of inventory (known: inventory.2pc.before-prepare, `},
		{"failpoint", "inventory", nil, `failpoint needs point (`},
		{"failpoint", "inventory", Options{"point": "inventory.after-commit", "wait": "1s"}, `wait is that of a pause, and the action is crash (action pause)`},
		{"failpoint", "inventory", Options{"point": "inventory.after-commit", "action": "pause", "wait": "0s"}, `a pause of 0s is none`},
		{"poison", "broker", Options{"topic": "orders-topik"}, `unknown topic "orders-topik" (did you mean "orders-topic"?)`},
		{"poison", "broker", Options{"messages": "0"}, `0 messages harm nobody`},
		{"poison", "broker", Options{"topic": "all"}, `unknown topic "all" (`},
		{"produce-errors", "broker", Options{"topic": "orders-topik"}, `unknown topic "orders-topik" (did you mean "orders-topic"?)`},
		{"fetch-errors", "broker", Options{"topic": "payment-group.ded"}, `unknown topic "payment-group.ded" (did you mean "payment-group.dead"?)`},
		{"slow-database", "order", Options{"delay": "0s"}, `delay: slow-database of 0s does nothing`},
		{"provider-latency", "payment", Options{"delay": "0s"}, `delay: provider-latency of 0s does nothing`},
		{"rebalance-storm", "broker", Options{"every": "0s"}, `every: rebalance-storm of 0s does nothing`},
		{"latency", "gateway->order", Options{"delay": "0s"}, `neither delay nor jitter: there is nothing to add`},
		{"slice", "gateway->order", Options{"bytes": "0"}, `pieces of 0 bytes never arrive`},
		{"drop-after", "gateway->order", Options{"bytes": "0"}, `nothing would pass at all`},
		{"flap", "gateway->order", Options{"down": "1ms"}, `down: 1ms is too short to be seen`},
		{"memory", "order", Options{"bytes": "0"}, `0 bytes are no burden`},
		{"memory-limit", "order", Options{"bytes": "5MiB"}, `5MiB is less than the 6MiB that a container needs`},
		{"clock", "order", Options{"offset": "0s"}, `a clock that is off by nothing is right`},
		{"kill", "inventory-0", Options{"replicas": "50%"}, `replicas: inventory-0 is one replica`},
		{"partition", "order|payment", nil, `no link joins the two sides of "order|payment"`},
		{"latency", "order->gateway", nil, `unknown link "order->gateway"`},
	} {
		t.Run(tt.fault+" "+tt.want, func(t *testing.T) {
			e := New(newLab("order-0", "inventory-0", "payment-0", "broker-0"), nil, nil)
			_, err := e.Inject(t.Context(), Spec{Fault: tt.fault, Target: tt.target, Options: tt.options})
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if len(e.Records()) != 0 {
				t.Error("it stands in the records")
			}
		})
	}
}
