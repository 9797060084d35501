package vitals

import (
	"fmt"
	"slices"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

const (
	// span is how many looks are kept: to be sure takes two.
	span = 2
	// starved is the share of its time that a thread may wait for a processor
	// before answers are read late enough to make connections look busy.
	starved = 0.25
	// worn is the share of its time beyond which a loop has no time left for
	// what is due. It spins for less.
	worn = 0.9
	// stall is how late a look may come before whatever kept it is suspected
	// of having kept the engine too.
	stall = 2 * every
	// lateShare is the share of late attempts that quantiles feel: one in a
	// hundred is the 99th percentile.
	lateShare = 0.01
	// leastLate are too few to speak of.
	leastLate = 2
	// leastTime is the shortest standstill that is more than a hiccup.
	leastTime = 300 * time.Millisecond
	// leastShare is the share of a run that it must have lasted to count for
	// all of it.
	leastShare = 0.01
	// sure is how many looks in a row must agree before a limit is told.
	sure = 2
)

// sample is one look.
type sample struct {
	pulse loadgen.Pulse
	signs Signs
	took  time.Duration // since the look before
}

// judge turns looks into a Finding. It is pure: time is what samples say.
type judge struct {
	plan        loadgen.Plan
	connections uint64
	maxSlip     time.Duration

	past    []sample      // the last span looks, the oldest first
	backlog time.Duration // since when something due waits to be taken; -1: nothing does
	stretch Outcome       // of the look before
	agreed  int           // looks in a row with that outcome; a long one counts for those that it kept away
	onset   time.Duration // of the stretch
	first   map[Outcome]Limit
	lasted  map[Outcome]time.Duration
	counts  loadgen.Pulse // over the recorded phases
	stood   time.Duration // calls were due, connections free, and nobody sent them
	doubted time.Duration // calls waited for connections while the generator was ill
	causes  map[Outcome][]Cause
	watched time.Duration
	worst   Signs
}

func newJudge(cfg Config) *judge {
	return &judge{
		plan: cfg.Plan, connections: uint64(cfg.Connections), maxSlip: cfg.MaxSlip, backlog: -1, stretch: Valid,
		first: map[Outcome]Limit{}, lasted: map[Outcome]time.Duration{}, causes: map[Outcome][]Cause{},
	}
}

// look takes one look. It is found when a limit begins.
func (j *judge) look(s sample) (found Limit, ok bool) {
	p := s.pulse
	recorded := p.Phase >= 0 && p.Phase < len(j.plan.Phases) && j.plan.Phases[p.Phase].Record
	if !recorded {
		// What happened before is not held against what comes.
		j.past, j.backlog, j.stretch = j.past[:0], -1, Valid
		return Limit{}, false
	}
	if len(j.past) == span {
		j.past = slices.Delete(j.past, 0, 1)
	}
	j.past = append(j.past, s)
	j.watched += s.took
	if len(j.past) > 1 {
		before := j.past[len(j.past)-2].pulse
		j.counts.Settled += p.Settled - before.Settled
		j.counts.Late += p.Late - before.Late
		j.counts.Waited += p.Waited - before.Waited
		j.counts.Dropped += p.Dropped - before.Dropped
	}
	j.worst = Signs{
		Delay: max(j.worst.Delay, s.signs.Delay), Busy: max(j.worst.Busy, s.signs.Busy),
		CPU: max(j.worst.CPU, s.signs.CPU), Pause: max(j.worst.Pause, s.signs.Pause),
	}
	switch {
	case p.Due <= p.Taken:
		j.backlog = -1
	case j.backlog < 0:
		j.backlog = p.At
	}
	now := j.now()
	if now.Outcome != j.stretch {
		j.stretch, j.agreed, j.onset = now.Outcome, 0, now.Onset
	}
	before := j.agreed
	if j.agreed++; now.Outcome == GeneratorLimited && s.took >= sure*every {
		j.agreed += sure // what kept the looks away that should have been taken meanwhile is the limit
	}
	if now.Outcome == Valid {
		return Limit{}, false
	}
	j.lasted[now.Outcome] += s.took
	switch {
	case now.Outcome != GeneratorLimited:
	case now.masked:
		j.doubted += s.took
	case now.stood:
		j.stood += s.took
	}
	if !slices.Contains(j.causes[now.Outcome], now.Cause) {
		j.causes[now.Outcome] = append(j.causes[now.Outcome], now.Cause)
	}
	if before >= sure || j.agreed < sure {
		return Limit{}, false
	}
	now.Onset = j.onset
	if _, known := j.first[now.Outcome]; !known {
		j.first[now.Outcome] = now
	}
	return now, true
}

// now says what is the limit at the latest look.
func (j *judge) now() Limit {
	latest := j.past[len(j.past)-1]
	p := latest.pulse
	limit := Limit{Outcome: Valid, Known: p.At}

	// What waits at this moment for longer than it may.
	waits := time.Duration(0)
	if j.backlog >= 0 {
		waits = min(p.At-p.Latest, p.At-j.backlog)
	}
	stuck := waits > j.maxSlip
	full := p.Taken-p.Settled >= j.connections

	// What left late over the span.
	first := j.past[0].pulse
	late, waited := p.Late-first.Late, p.Waited-first.Waited+p.Dropped-first.Dropped
	ended := p.Settled - first.Settled
	many := func(n uint64) bool { return isMany(n, ended) }

	cause, detail := j.ill()
	ill := cause != ""
	limit.Onset = first.At
	if stuck {
		limit.Onset = p.At - waits
	}
	switch {
	case many(late), stuck && !full && !many(waited):
		// Connections may be free for a moment while answers come in bursts:
		// what left in that time had waited for them.
		limit.stood = !many(late)
		limit.Outcome, limit.Cause, limit.Detail = GeneratorLimited, cause, detail
		if !ill {
			limit.Cause, limit.Detail = Slip, "calls left late although a connection was free"
		}
	case (many(waited) || stuck) && ill:
		limit.masked = true
		limit.Outcome, limit.Cause, limit.Detail = GeneratorLimited, cause, detail
	case many(waited), stuck:
		limit.Outcome, limit.Cause = SystemLimited, Connections
		limit.Detail = fmt.Sprintf("arrivals waited for one of %d connections", j.connections)
	}
	return limit
}

// isMany says that quantiles feel n of all.
func isMany(n, all uint64) bool { return n >= leastLate && float64(n) >= lateShare*float64(all) }

// ill says what ails the generator, "" if nothing does. It looks back no
// further than a limit takes to be sure: what was well before says nothing.
func (j *judge) ill() (cause Cause, detail string) {
	var delay, busy float64
	var pause, whole, longest time.Duration
	for _, s := range j.past[max(0, len(j.past)-sure):] {
		delay += s.signs.Delay * float64(s.took)
		busy += s.signs.Busy * float64(s.took)
		pause += s.signs.Pause
		whole += s.took
		longest = max(longest, s.took)
	}
	all := float64(whole)
	switch {
	case delay >= starved*all:
		return RunDelay, fmt.Sprintf("the generator waited for a processor %.0f%% of the time", 100*delay/all)
	case float64(pause) >= starved*all:
		return Collector, fmt.Sprintf("the generator was stopped %.0f%% of the time to collect garbage", 100*float64(pause)/all)
	case longest > every+stall:
		return Standstill, fmt.Sprintf("the generator stood still for %d ms", (longest - every).Milliseconds())
	case busy >= worn*all:
		return LoopBusy, fmt.Sprintf("the generator was busy %.0f%% of the time", 100*busy/all)
	}
	return "", ""
}

// finding judges the whole run. The generator was the limit if quantiles feel
// what left late, if it stood still, or if it was ill for half of the time in
// which calls waited for connections: a hiccup of the machine in the long
// stall of a system does not make the stall the machine's.
func (j *judge) finding() Finding {
	f := Finding{
		Outcome: Valid, Onset: -1, Known: -1, Worst: j.worst,
		Generator: j.lasted[GeneratorLimited], System: j.lasted[SystemLimited],
	}
	least := max(leastTime, time.Duration(leastShare*float64(j.watched)))
	c := j.counts
	waited := c.Waited + c.Dropped
	_, told := j.first[SystemLimited]
	switch {
	case isMany(c.Late, c.Settled):
		f.Outcome = GeneratorLimited
		f.Reason = fmt.Sprintf("%d of %d calls left more than %v late although a connection was free", c.Late, c.Settled, j.maxSlip)
	case j.stood >= least, j.doubted >= least && j.doubted >= f.System:
		f.Outcome = GeneratorLimited
	case told && isMany(waited, c.Settled), f.System+j.doubted >= least:
		f.Outcome = SystemLimited // and not for a single look, which is a hiccup
	}
	f.Causes = j.causes[f.Outcome]
	if first, known := j.first[f.Outcome]; known {
		f.Onset, f.Known = first.Onset, first.Known
		f.Reason = fmt.Sprintf("%s, from %.1fs on for %.1fs in all", first.Detail, first.Onset.Seconds(), j.lasted[f.Outcome].Seconds())
	}
	return f
}
