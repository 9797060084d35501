package gate

import "github.com/ordbench/ordbench/reports"

// registry holds every metric: its name, its unit, and how it is read.
var registry = buildRegistry()

func buildRegistry() []Metric {
	var all []Metric
	add := func(name, unit string, where reach, summary string, read func(scope) reading) {
		all = append(all, Metric{
			Name: name, Unit: unit, During: where&during != 0, After: where&after != 0, Summary: summary, read: read,
		})
	}
	for _, s := range stats {
		add("latency.OP."+s.name, Milliseconds, during, s.of+" response time of an operation, from its due time", latency(reports.ResponseClock, s.value))
		add("service.OP."+s.name, Milliseconds, during, s.of+" service time of an operation, from its send", latency(reports.ServiceClock, s.value))
		add("completion."+s.name, Milliseconds, during, s.of+" time from an accepted order to its end", completion(s.value))
	}
	for _, o := range orderCounts {
		add("orders."+o.name, Count, whole, "orders "+o.summary, orders(o.value, o.invariant))
	}
	for _, o := range outcomes {
		add(o.name+".rate", Share, during, o.summary+", as a share of the scheduled attempts", outcomeRate(o.value))
		add(o.name+".count", Count, during, o.summary, outcomeCount(o.value))
	}
	add("goodput", PerSecond, during, "attempts answered ok", throughput)
	add("goodput.of_peak", Share, during, "attempts answered ok a second, as a share of those in the phase with the most", ofPeak)
	add("throughput.OP", PerSecond, during, "attempts of an operation answered ok", throughput)
	add("offered", PerSecond, during, "attempts scheduled", offered)
	add("lag.max", Count, during|after, "highest lag of any consumer group, in messages", lagMax)
	add("lag.GROUP.max", Count, during|after, "highest lag of one consumer group, in messages", lagMax)
	add("lag.drain_time", Milliseconds, after, "from the end of the load, or of the fault, until no lag is left", lagDrain)
	add("lag.GROUP.drain_time", Milliseconds, whole, "from the end of the load until the group has no lag", lagDrain)
	add("replicas.max", Count, during|after, "most ready replicas of a consumer", replicasMax)
	add("breakers.trips", Count, during, "times that a breaker opened", breakerTrips)
	add("slip.p50", Milliseconds, whole, "median delay of the generator behind its schedule", slip(func(v reports.Validity) float64 { return v.SlipP50MS }))
	add("slip.p99", Milliseconds, whole, "99th percentile of the generator's delay behind its schedule", slip(func(v reports.Validity) float64 { return v.SlipP99MS }))
	add("slip.max", Milliseconds, whole, "longest delay of the generator behind its schedule", slip(func(v reports.Validity) float64 { return v.SlipMaxMS }))
	add("scheduled.met", Share, whole, "share of the schedule that was sent", slip(func(v reports.Validity) float64 { return v.ScheduledMet }))
	add("faults.effective", Share, after, "share of the faults whose effect was proven", faultsEffective)
	add("faults.detect_time", Milliseconds, after, "from a fault until lag or errors show it", faultTime(func(f reports.Fault) int64 { return f.DetectMS }, unseen))
	add("faults.recover_time", Milliseconds, after, "from the end of a fault until lag and errors are back at their baseline", faultTime(func(f reports.Fault) int64 { return f.RecoverMS }, unended))
	add("invariants.broken", Count, whole, "invariants that did not hold", invariantsBroken)
	add("traces.complete", Share, whole, "share of the orders whose trace has every step and every parent", tracesComplete)
	add("boot.time", Milliseconds, whole, "until the system was ready", runTime(func(r reports.Run) int64 { return r.BootMS }))
	add("drain.time", Milliseconds, whole, "from the end of the load until nothing was in flight", runTime(func(r reports.Run) int64 { return r.DrainMS }))
	return all
}

// reach says what a gate on a metric may name.
type reach int

const (
	whole  reach = 0
	during reach = 1
	after  reach = 2
)

var stats = []struct {
	name, of string
	value    func(reports.Latency) float64
}{
	{"p50", "median", func(l reports.Latency) float64 { return l.P50MS }},
	{"p90", "90th percentile of the", func(l reports.Latency) float64 { return l.P90MS }},
	{"p95", "95th percentile of the", func(l reports.Latency) float64 { return l.P95MS }},
	{"p99", "99th percentile of the", func(l reports.Latency) float64 { return l.P99MS }},
	{"p999", "99.9th percentile of the", func(l reports.Latency) float64 { return l.P999MS }},
	{"max", "longest", func(l reports.Latency) float64 { return l.MaxMS }},
	{"mean", "mean", func(l reports.Latency) float64 { return l.MeanMS }},
}

// The invariant is the one whose doubt is the doubt of the number.
var orderCounts = []struct {
	name, summary, invariant string
	value                    func(reports.Orders) uint64
}{
	{"attempted", "that clients tried to place", reports.LedgerComplete, func(o reports.Orders) uint64 { return o.Attempted }},
	{"accepted", "that the system accepted", reports.LedgerComplete, func(o reports.Orders) uint64 { return o.Accepted }},
	{"rejected", "that were certainly refused", reports.LedgerComplete, func(o reports.Orders) uint64 { return o.Rejected }},
	{"unknown", "without a certain answer", reports.LedgerComplete, func(o reports.Orders) uint64 { return o.Unknown }},
	{"completed", "that were confirmed", reports.AllTerminal, func(o reports.Orders) uint64 { return o.Completed }},
	{"compensated", "that ended without a sale", reports.AllTerminal, func(o reports.Orders) uint64 { return o.Compensated }},
	{"parked", "set aside for people", reports.AllTerminal, func(o reports.Orders) uint64 { return o.Parked }},
	{"pending", "that did not end", "", func(o reports.Orders) uint64 { return o.Pending }},
	{"lost", "accepted and lost", reports.AcceptedOnce, func(o reports.Orders) uint64 { return o.Lost }},
	{"duplicated", "with an effect more than once", reports.EffectOnce, func(o reports.Orders) uint64 { return o.Duplicated }},
	{"unexpected", "that nobody attempted", reports.NoUnexpected, func(o reports.Orders) uint64 { return o.Unexpected }},
	{"phantom", "refused, and yet made", reports.NoPhantom, func(o reports.Orders) uint64 { return o.Phantom }},
	{"recovered", "without a certain answer, and found made", reports.LedgerComplete, func(o reports.Orders) uint64 { return o.Recovered }},
}

var outcomes = []struct {
	name, summary string
	value         func(reports.Counts) uint64
}{
	{"errors", "attempts that were neither answered ok nor rejected on purpose", func(c reports.Counts) uint64 { return c.Error + c.Timeout + c.Dropped + c.Unfinished }},
	{"rejected", "attempts that the system rejected on purpose", func(c reports.Counts) uint64 { return c.Rejected }},
	{"timeouts", "attempts without an answer in time", func(c reports.Counts) uint64 { return c.Timeout }},
	{"dropped", "attempts that were never sent", func(c reports.Counts) uint64 { return c.Dropped }},
	{"unfinished", "attempts in flight when the load ended", func(c reports.Counts) uint64 { return c.Unfinished }},
}
