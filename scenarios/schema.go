package scenarios

import (
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/system"
)

// schema binds every key of a document to s. The order is that of the
// resolved text.
func schema(s *Scenario) object {
	return object{of: "the scenario", fields: []field{
		{"name", nameOf(&s.Name, "scenario"), true},
		{"description", paragraph(&s.Description), false},
		{"seed", whole(&s.Seed, 0, 1<<62), false},
		{"system", systemKeys(&s.System), false},
		{"traffic", trafficKeys(&s.Traffic), true},
		{"chaos", listOf[Fault]{to: &s.Chaos, want: "a list of faults", item: faultKeys}, false},
		{"nemesis", nemesisKeys{s}, false},
		{"halt_when", guardList{listOf[Guard]{to: &s.HaltWhen, want: "a list of conditions", item: guardKeys}}, false},
		{"gates", listOf[gate.Gate]{to: &s.Gates, want: "a list of gates", item: gateKeys}, false},
	}}
}

func systemKeys(c *system.Config) object {
	const replicas = 100
	return object{
		of:    "system",
		later: []string{"runtime"},
		fields: []field{
			{"gateway", object{of: "system.gateway", fields: []field{
				{"replicas", whole(&c.Gateway.Replicas, 1, replicas), false},
				{"addr", address(&c.Gateway.Addr), false},
				{"rate_limit", limit(&c.Gateway.RateLimit.Requests, &c.Gateway.RateLimit.Per), false},
				{"timeout", duration(&c.Gateway.Timeout, time.Millisecond, time.Minute), false},
				{"places", whole(&c.Gateway.Places, 1, 100_000), false},
				{"tries", whole(&c.Gateway.Tries, 1, 100), false},
				{"breaker", object{of: "system.gateway.breaker", flow: true, fields: []field{
					{"failures", whole(&c.Gateway.Breaker.Failures, 1, 1000), false},
					{"open_for", duration(&c.Gateway.Breaker.OpenFor, time.Millisecond, time.Hour), false},
				}}, false},
			}}, false},
			{"order", object{of: "system.order", fields: []field{
				{"replicas", whole(&c.Order.Replicas, 1, replicas), false},
				{"stuck_after", duration(&c.Order.StuckAfter, 0, time.Hour), false},
			}}, false},
			{"inventory", object{of: "system.inventory", fields: []field{
				{"replicas", span{&c.Inventory.MinReplicas, &c.Inventory.MaxReplicas, replicas}, false},
				{"work", duration(&c.Inventory.Work, 0, time.Minute), false},
				{"concurrency", whole(&c.Inventory.Concurrency, 1, system.MaxConcurrency), false},
				{"skus", whole(&c.Inventory.SKUs, 1, 1_000_000), false},
				{"stock", whole(&c.Inventory.Stock, 0, 1<<40), false},
			}}, false},
			{"payment", object{of: "system.payment", fields: []field{
				{"replicas", whole(&c.Payment.Replicas, 1, replicas), false},
				{"work", duration(&c.Payment.Work, 0, time.Minute), false},
				{"concurrency", whole(&c.Payment.Concurrency, 1, system.MaxConcurrency), false},
				{"decline", share(&c.Payment.Decline), false},
				{"timeout", share(&c.Payment.Timeout), false},
			}}, false},
			{"notification", object{of: "system.notification", fields: []field{
				{"replicas", whole(&c.Notification.Replicas, 1, replicas), false},
				{"concurrency", whole(&c.Notification.Concurrency, 1, system.MaxConcurrency), false},
			}}, false},
			{"scaling", object{of: "system.scaling", fields: []field{
				{"by", oneOf(&c.Scaling.By, []string{system.ScaleByLag, system.ScaleByNone}, "cpu"), false},
				{"lag_threshold", whole(&c.Scaling.LagThreshold, 1, 1_000_000_000), false},
				{"partitions", whole(&c.Scaling.Partitions, 1, 1000), false},
				{"polling_interval", duration(&c.Scaling.PollingInterval, 50*time.Millisecond, time.Hour), false},
				{"stabilization_window", duration(&c.Scaling.StabilizationWindow, 0, time.Hour), false},
			}}, false},
			{"broker", object{of: "system.broker", flow: true, fields: []field{
				{"replicas", brokers(&c.Broker.Replicas), false},
				{"volume_size", volumeSize(&c.Broker.VolumeSize, system.LeastBrokerVolume), false},
			}}, false},
			{"database", object{of: "system.database", flow: true, fields: []field{
				{"url", optional{databaseURL(&c.Database.URL), func() bool { return c.Database.URL == "" }}, false},
				{"volume_size", volumeSize(&c.Database.VolumeSize, system.LeastDatabaseVolume), false},
			}}, false},
			{"images", imageKeys(&c.Images), false},
			{"consistency", oneOf(&c.Consistency, []string{system.ConsistencySaga, system.Consistency2PC}), false},
			{"coupling", oneOf(&c.Coupling, []string{system.CouplingAsync, system.CouplingSync}), false},
			{"tracing", object{of: "system.tracing", flow: true, fields: []field{
				{"sample", share(&c.Tracing.Sample), false},
			}}, false},
			{"patterns", object{
				of: "system.patterns", flow: true,
				later: []string{"idempotency"},
				fields: []field{
					{"outbox", onOff(&c.Patterns.Outbox), false},
					{"inbox", onOff(&c.Patterns.Inbox), false},
					{"idempotency", onOff(&c.Patterns.Idempotency), false},
					{"breaker", onOff(&c.Patterns.Breaker), false},
					{"tracing", onOff(&c.Patterns.Tracing), false},
					{"dead_letters", onOff(&c.Patterns.DeadLetters), false},
					{"auth", onOff(&c.Patterns.Auth), false},
					{"mtls", onOff(&c.Patterns.MTLS), false},
					{"rate_limit", onOff(&c.Patterns.RateLimit), false},
					{"shedding", onOff(&c.Patterns.Shedding), false},
					{"bulkhead", onOff(&c.Patterns.Bulkhead), false},
					{"backoff", onOff(&c.Patterns.Backoff), false},
					{"retry_budget", onOff(&c.Patterns.RetryBudget), false},
				},
			}, false},
		},
	}
}

// imageKeys name the images of a runtime of containers, where they are not its
// own choice.
func imageKeys(c *system.ImagesConfig) rule {
	image := func(to *string) rule {
		return optional{words(to), func() bool { return *to == "" }}
	}
	return object{of: "system.images", flow: true, fields: []field{
		{"kafka", image(&c.Kafka), false},
		{"redis", image(&c.Redis), false},
		{"postgres", image(&c.PostgreSQL), false},
		{"collector", image(&c.Collector), false},
		{"mirror", image(&c.Mirror), false},
	}}
}

// databaseURL is a PostgreSQL server that is there already. A password would
// stand in results and on command lines.
func databaseURL(to *string) value {
	v := words(to)
	v.set = func(s string) *wrong {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "":
			return wrongf("write postgres://user@127.0.0.1:5432/postgres", "not the URL of a PostgreSQL server")
		case strings.Contains(u.User.String(), ":") || u.Query().Has("password"):
			return wrongf("put it into PGPASSWORD or a password file", "the URL has a password in it")
		}
		*to = s
		return nil
	}
	return v
}

// volumeSize bounds a volume in containers; where there is no bound it says
// nothing.
func volumeSize(to *int64, least int64) rule {
	return optional{size(to, least, system.MostVolume), func() bool { return *to == 0 }}
}

// brokers is one broker, or a cluster that survives the death of its leader.
func brokers(to *int) value {
	v := whole(to, 1, 3)
	read := v.set
	v.set = func(s string) *wrong {
		if wrong := read(s); wrong != nil {
			return wrong
		}
		if *to == 2 {
			return wrongf("1, or 3 so that two are left to acknowledge", "2 brokers survive no more than 1")
		}
		return nil
	}
	return v
}

func trafficKeys(t *Traffic) object {
	return object{of: "traffic", fields: []field{
		{"customers", whole(&t.Customers, 1, 10_000_000), false},
		{"connections", whole(&t.Connections, 1, 100_000), false},
		{"timeout", duration(&t.Timeout, time.Millisecond, time.Minute), false},
		{"max_slip", duration(&t.MaxSlip, time.Millisecond, time.Minute), false},
		{"measure", oneOf(&t.Measure, []string{MeasureAll, MeasureBooks}), false},
		{"mix", mix{&t.Mix}, false},
		{"retry", object{of: "traffic.retry", flow: true, fields: []field{
			{"tries", whole(&t.Retry.Tries, 1, 100), false},
			{"after", duration(&t.Retry.After, 0, time.Minute), false},
		}}, false},
		{"phases", listOf[Phase]{to: &t.Phases, want: "a list of phases", item: phaseKeys}, true},
	}}
}

func phaseKeys(p *Phase) rule {
	// What a phase leaves out; set here, because list items are made here.
	if p.Arrivals == "" {
		p.Arrivals, p.Record = ArrivalsConstant, true
	}
	fields := []field{
		{"name", nameOf(&p.Name, "phase"), true},
		{"rate", rateOf(p), false},
		{"steps", listOf[float64]{to: &p.Steps, want: "a list of rates", flow: true, item: func(r *float64) rule { return rate(r) }}, false},
		{"sine", made[loadgen.Sine]{&p.Sine, sineKeys}, false},
		{"spike", made[loadgen.Spike]{&p.Spike, spikeKeys}, false},
		{"trace", traceFile{&p.Trace}, false},
		{"users", whole(&p.Users, 1, 100_000), false},
		{"think", optional{duration(&p.Think, 0, time.Hour), func() bool { return p.Users == 0 }}, false},
		{"for", duration(&p.For, 1, longest), true},
		{"arrivals", arrivals(&p.Arrivals), false},
		{"record", trueFalse(&p.Record), false},
	}
	return oneKey{object{of: "the phase", fields: fields, flow: true}, []string{"rate", "steps", "sine", "spike", "trace", "users"}, &p.Rate, p.shape}
}

// shape is the key that says how much traffic the phase has.
func (p *Phase) shape() string {
	switch {
	case len(p.Steps) > 0:
		return "steps"
	case p.Sine != nil:
		return "sine"
	case p.Spike != nil:
		return "spike"
	case p.Trace != nil:
		return "trace"
	case p.Users > 0:
		return "users"
	}
	return "rate"
}

// arrivals is how attempts fall along the rate. Shapes of the rate, which one
// may look for here, are keys of their own.
func arrivals(to *string) value {
	v := oneOf(to, []string{ArrivalsConstant, ArrivalsPoisson, ArrivalsClosed})
	set := v.set
	v.set = func(s string) *wrong {
		switch s {
		case "ramp", "steps", "sine", "spike", "trace":
			example := map[string]string{
				"ramp": "rate: 100/s..1000/s", "steps": "steps: [10/s, 100/s]", "trace": "trace: arrivals.txt",
				"sine": sineExample, "spike": spikeExample,
			}[s]
			return wrongf("write "+example+", and constant or poisson here", "%q is a shape of the rate, not a law of arrivals", s)
		}
		return set(s)
	}
	return v
}

const (
	sineExample  = "sine: {low: 50/s, high: 200/s, period: 10s}"
	spikeExample = "spike: {base: 100/s, peak: 1000/s, at: 5s, hold: 2s}"
)

func sineKeys(s *loadgen.Sine) object {
	return object{of: "sine", flow: true, fields: []field{
		{"low", rate(&s.Low), true},
		{"high", rate(&s.High), true},
		{"period", duration(&s.Period, time.Millisecond, longest), true},
	}}
}

func spikeKeys(s *loadgen.Spike) object {
	return object{of: "spike", flow: true, fields: []field{
		{"base", rate(&s.Base), true},
		{"peak", rate(&s.Peak), true},
		{"at", duration(&s.At, 0, longest), true},
		{"rise", duration(&s.Rise, 0, longest), false},
		{"hold", duration(&s.Hold, 0, longest), true},
		{"fall", duration(&s.Fall, 0, longest), false},
	}}
}

func gateKeys(g *gate.Gate) rule {
	return gateRule{g, object{of: "the gate", flow: true, fields: []field{
		{"id", nameOf(&g.ID, "gate"), false},
		{"metric", words(&g.Metric), true},
		{"during", optional{words(&g.During), func() bool { return g.During == "" }}, false},
		{"after", optional{words(&g.After), func() bool { return g.After == "" }}, false},
		{"min", bound{&g.Min, &g.Metric}, false},
		{"max", bound{&g.Max, &g.Metric}, false},
		{"min_samples", optional{whole(&g.MinSamples, 0, 1<<53), func() bool { return g.MinSamples == 0 }}, false},
	}}}
}

var named = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// nameOf is a name. It begins with a letter and has no plus sign, so that
// "spike+3s" and "10s" have one meaning; and it is fit for a directory.
func nameOf(to *string, what string) value {
	return value{to, "a name", func(s string) *wrong {
		*to = s
		if !named.MatchString(s) {
			return wrongf("letters, digits, dashes and underscores, a letter first, at most 64", "%q is no name for a %s", s, what)
		}
		return nil
	}, func() string { return *to }}
}

// address is where the gateway listens. Loopback only: a benchmark is no
// service for the neighbours.
func address(to *string) value {
	return value{to, "an address such as 127.0.0.1:8080", func(s string) *wrong {
		if s == "auto" {
			*to = ""
			return nil
		}
		host, port, err := net.SplitHostPort(s)
		ip := net.ParseIP(host)
		switch {
		case err != nil || port == "":
			return wrongf("write 127.0.0.1:8080, or auto for a free port", "%q is not an address", s)
		case host != "localhost" && (ip == nil || !ip.IsLoopback()):
			return wrongf("write 127.0.0.1:"+port, "%q is not a loopback address", s)
		}
		*to = s
		return nil
	}, func() string {
		if *to == "" {
			return "auto"
		}
		return *to
	}}
}

// optional is a value that is written only where it says something.
type optional struct {
	value
	silent func() bool
}

func (o optional) write() *node {
	if o.silent() {
		return nil
	}
	return o.value.write()
}
