// Package reports holds Result, the record of one run, and its renderings.
// Call Write to store a result and Read to load one; every number in any
// rendering comes from the Result, so that a report can't differ from its
// data.
//
// The JSON is additive within a major SchemaVersion: keys are added, never
// renamed or removed. Units stand in the key names. Times named *_ms inside
// a run count from the start of its first phase, on one monotonic clock.
package reports

import "time"

// SchemaVersion is the version of the result schema.
const SchemaVersion = "1.0"

// Outcome is the verdict of a run.
type Outcome string

// The outcomes of a Validity.
const (
	Valid            = "valid"
	GeneratorLimited = "generator_limited"
	SystemLimited    = "system_limited"
)

// The outcomes, and what outranks what: integrity, fail, inconclusive, pass.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Integrity    Outcome = "integrity"
	Inconclusive Outcome = "inconclusive"
)

// Result is everything that is known of one run.
type Result struct {
	SchemaVersion string       `json:"schema_version"`
	Run           Run          `json:"run"`
	Verdict       Verdict      `json:"verdict"`
	Scenario      Scenario     `json:"scenario"`
	Environment   Environment  `json:"environment"`
	Validity      Validity     `json:"validity"`
	Phases        []Phase      `json:"phases"`
	Orders        Orders       `json:"orders"`
	Invariants    []Invariant  `json:"invariants"`
	Latency       []Latency    `json:"latency"`
	Completion    []Latency    `json:"completion"`
	Breakers      []Breaker    `json:"breakers"`
	Consumers     []Consumer   `json:"consumers"`
	Faults        []Fault      `json:"faults"`
	Series        Series       `json:"series"`
	Traces        *Traces      `json:"traces,omitempty"`
	Gates         []GateResult `json:"gates"`
	Artifacts     []string     `json:"artifacts"`
	Warnings      []string     `json:"warnings"`
}

// Run says when and how the run was made.
type Run struct {
	ID          string    `json:"id"`
	StartedAt   time.Time `json:"started_at"`
	DurationMS  int64     `json:"duration_ms"`
	BootMS      int64     `json:"boot_ms"`
	DrainMS     int64     `json:"drain_ms"`
	Command     string    `json:"command"`
	Seed        int64     `json:"seed"`
	Runtime     string    `json:"runtime"`
	Interrupted bool      `json:"interrupted"`
	Kind        string    `json:"kind,omitempty"`   // "" is a scenario; "load": of a target that ordbench did not boot
	Target      string    `json:"target,omitempty"` // of a load
}

// LoadKind is the kind of a run that only drives a target: it has no orders,
// no books and no faults.
const LoadKind = "load"

// Verdict is the judgement and the one sentence that explains it.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
}

// Scenario names what was played; Resolved is the YAML with every default.
type Scenario struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	SHA256      string `json:"sha256"`
	Resolved    string `json:"resolved"`
}

// Environment is the machine and the build.
type Environment struct {
	Version     string            `json:"version"`
	GoVersion   string            `json:"go_version"`
	OS          string            `json:"os"`
	Arch        string            `json:"arch"`
	Kernel      string            `json:"kernel"`
	CPUs        int               `json:"cpus"`
	CPUModel    string            `json:"cpu_model"`
	MemoryBytes uint64            `json:"memory_bytes"`
	Components  map[string]string `json:"components"` // infrastructure and its version
}

// Validity says whether the measurement itself can be believed.
type Validity struct {
	Outcome      string  `json:"outcome"` // valid | generator_limited | system_limited
	Reason       string  `json:"reason,omitempty"`
	SlipP50MS    float64 `json:"slip_p50_ms"`
	SlipP99MS    float64 `json:"slip_p99_ms"`
	SlipMaxMS    float64 `json:"slip_max_ms"`
	ScheduledMet float64 `json:"scheduled_met"` // share of the schedule that was sent

	OnsetMS            int64    `json:"onset_ms"`             // of the first such limit, on the run's clock; -1: none, or not known
	KnownMS            int64    `json:"known_ms"`             // when it was noticed
	GeneratorLimitedMS int64    `json:"generator_limited_ms"` // how long the generator was the limit
	SystemLimitedMS    int64    `json:"system_limited_ms"`    // how long arrivals waited for the system
	Causes             []string `json:"causes"`               // slip, run_delay, gc_pause, standstill, loop_busy, connections
	RunDelayMax        float64  `json:"run_delay_max"`        // largest share of a tenth of a second that the engine waited for a processor
	LoopBusyMax        float64  `json:"loop_busy_max"`        // and that it was running
	CPUMax             float64  `json:"cpu_max"`              // most cores that the generator's process used
	GCPauseMaxMS       float64  `json:"gc_pause_max_ms"`      // longest that its world was stopped, in a tenth of a second
}

// Counts is what became of the scheduled attempts:
// scheduled = ok + rejected + error + timeout + dropped + unfinished.
type Counts struct {
	Scheduled  uint64 `json:"scheduled"`
	OK         uint64 `json:"ok"`
	Rejected   uint64 `json:"rejected"`
	Error      uint64 `json:"error"`
	Timeout    uint64 `json:"timeout"`
	Dropped    uint64 `json:"dropped"`
	Unfinished uint64 `json:"unfinished"`
	Repeated   uint64 `json:"repeated,omitempty"` // sent again under their keys; they are still one attempt each
}

// Phase is one phase of the traffic.
type Phase struct {
	Name        string            `json:"name"`
	StartMS     int64             `json:"start_ms"`
	EndMS       int64             `json:"end_ms"`
	Recorded    bool              `json:"recorded"`
	OfferedRate float64           `json:"offered_rate_per_s"`
	GoodputRate float64           `json:"goodput_rate_per_s"`
	Counts      Counts            `json:"counts"`
	Ops         map[string]Counts `json:"ops"`
	Reasons     map[string]uint64 `json:"reasons"` // why attempts were not ok: "429", "refused", "timeout"
}

// Orders is the ledger against the books.
type Orders struct {
	Attempted   uint64 `json:"attempted"`
	Accepted    uint64 `json:"accepted"`
	Rejected    uint64 `json:"rejected"` // certainly refused: no order was made
	Unknown     uint64 `json:"unknown"`  // no certain answer
	Completed   uint64 `json:"completed"`
	Compensated uint64 `json:"compensated"` // ended without a sale, nothing kept
	Parked      uint64 `json:"parked"`
	Pending     uint64 `json:"pending"`
	Lost        uint64 `json:"lost"`
	Duplicated  uint64 `json:"duplicated"`
	Unexpected  uint64 `json:"unexpected"`
	Phantom     uint64 `json:"phantom"`
	Recovered   uint64 `json:"recovered"` // unknown, and found to have happened
}

// Invariant is one law of the system and how it fared.
type Invariant struct {
	ID       string   `json:"id"`
	Outcome  string   `json:"outcome"` // held | broken | unknown
	Detail   string   `json:"detail"`
	Evidence []string `json:"evidence"` // order ids, at most 20
}

// Latency is the distribution of one operation in one phase.
type Latency struct {
	Op        string  `json:"op"`
	Phase     string  `json:"phase"` // "" is all recorded phases together
	Clock     string  `json:"clock"` // response (from due) | service (from send) | completion
	Count     uint64  `json:"count"`
	AtLeast   uint64  `json:"lower_bounds"` // of those, attempts that were not answered: their time is at least that
	MeanMS    float64 `json:"mean_ms"`
	P50MS     float64 `json:"p50_ms"`
	P90MS     float64 `json:"p90_ms"`
	P95MS     float64 `json:"p95_ms"`
	P99MS     float64 `json:"p99_ms"`
	P999MS    float64 `json:"p999_ms"`
	MaxMS     float64 `json:"max_ms"`
	Histogram string  `json:"histogram"` // HDR, V2 compressed, base64; microseconds
}

// Breaker is one circuit breaker over the run.
type Breaker struct {
	Name        string       `json:"name"` // "gateway->order"
	Trips       int          `json:"trips"`
	Transitions []Transition `json:"transitions"`
}

// Transition is one change of a breaker's state.
type Transition struct {
	AtMS    int64  `json:"at_ms"`
	Replica string `json:"replica"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// Consumer is one consumer group over the run.
type Consumer struct {
	Group       string         `json:"group"`
	Topic       string         `json:"topic"` // those that it reads, separated by commas
	Component   string         `json:"component"`
	Partitions  int            `json:"partitions"` // of all its topics
	MaxLag      int64          `json:"max_lag"`
	DrainMS     int64          `json:"drain_ms"` // end of load to lag 0; -1: it never drained
	MaxReplicas int            `json:"max_replicas"`
	Replicas    []ReplicaPoint `json:"replicas"` // each change of the count
	Lag         []LagPoint     `json:"lag"`
}

// ReplicaPoint is a count of replicas from AtMS on.
type ReplicaPoint struct {
	AtMS    int64 `json:"at_ms"`
	Desired int   `json:"desired"`
	Ready   int   `json:"ready"`
}

// LagPoint is the lag of a group at one moment.
type LagPoint struct {
	AtMS       int64   `json:"at_ms"`
	Total      int64   `json:"total"`
	Partitions []int64 `json:"partitions,omitempty"`
}

// Fault is one injected fault and what was seen of it.
type Fault struct {
	Name       string     `json:"name"`
	Fault      string     `json:"fault"`
	Target     string     `json:"target"`
	Source     string     `json:"source"` // scenario | command
	Planned    FaultTimes `json:"planned"`
	Observed   FaultTimes `json:"observed"`
	Effective  bool       `json:"effective"`
	Reverted   bool       `json:"reverted"`
	Proof      []string   `json:"proof"`
	Error      string     `json:"error,omitempty"`
	Skipped    string     `json:"skipped,omitempty"` // why a drawn fault was left out
	DetectMS   int64      `json:"detect_ms"`         // injection to first lag or error above the baseline; -1: not seen
	RecoverMS  int64      `json:"recover_ms"`        // end of fault to lag and errors back at the baseline; -1: not seen
	MaxLag     int64      `json:"max_lag"`
	LagDrainMS int64      `json:"lag_drain_ms"` // end of fault to lag at the baseline; -1: it did not drain
	// What it did to the system beside what was before; -1: not seen.
	BreakerOpenMS     int64       `json:"breaker_open_ms"` // from injection, as the next two
	BreakerHalfOpenMS int64       `json:"breaker_half_open_ms"`
	BreakerCloseMS    int64       `json:"breaker_close_ms"`
	ScaleOutMS        int64       `json:"scale_out_ms"`       // injection to the first replica more than before
	UnavailableMS     int64       `json:"unavailable_ms"`     // longest stretch without a single success
	Failed            uint64      `json:"failed"`             // attempts that ended badly, from injection to recovery
	BudgetBurnt       float64     `json:"error_budget_burnt"` // share of the errors that the whole run may have, see error_budget
	Budget            float64     `json:"error_budget"`       // share of the attempts that may fail: the run's gate on errors.rate, else 1%
	During            FaultWindow `json:"during"`
	Before            FaultWindow `json:"before"` // as long a look at the time before it
}

// FaultWindow is how the system did over some time.
type FaultWindow struct {
	FromMS   int64   `json:"from_ms"`
	ToMS     int64   `json:"to_ms"`
	OKPerS   float64 `json:"ok_per_s"` // progress
	NotOK    float64 `json:"not_ok"`   // share of the attempts that ended
	MaxLag   int64   `json:"max_lag"`
	Recorded bool    `json:"recorded"` // false: nothing was seen of it
}

// FaultTimes are the edges of a fault; EndMS is -1 where it has no end.
type FaultTimes struct {
	StartMS int64 `json:"start_ms"`
	EndMS   int64 `json:"end_ms"`
}

// Series holds one row per sample, by column.
type Series struct {
	TMS        []int64              `json:"t_ms"`
	Columns    map[string][]float64 `json:"columns"`  // "scheduled_per_s", "lag.inventory-group", "ready.inventory"
	Replicas   map[string]Resources `json:"replicas"` // by replica, "inventory-3"
	IntervalMS int64                `json:"interval_ms"`
}

// Resources is the CPU and memory of one replica, a value per sample; -1
// where the replica did not run.
type Resources struct {
	CPUCores []float64 `json:"cpu_cores"`
	RSSBytes []int64   `json:"rss_bytes"`
}

// GateResult is one threshold and how it was met.
type GateResult struct {
	ID      string   `json:"id"`
	Metric  string   `json:"metric"`
	During  string   `json:"during,omitempty"`
	After   string   `json:"after,omitempty"`
	Value   *float64 `json:"value"` // nil: nothing was measured
	Unit    string   `json:"unit"`
	Bound   string   `json:"bound"`   // "<= 250ms"
	Outcome string   `json:"outcome"` // pass | fail | unknown
	Detail  string   `json:"detail,omitempty"`
	Line    int      `json:"line"`
}
