package conductor

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/events"
)

const (
	baselineWindow = 5 * time.Second // before a fault: what is normal
	calmWindow     = time.Second     // that long at the baseline means recovered
	lagMargin      = 20              // messages above the baseline that are still normal
)

// faults says of each fault what was planned, what was seen, and what it did
// to the lag of the consumers that it hit.
func (m *measure) faults() []reports.Fault {
	out := []reports.Fault{}
	for _, rec := range m.run.session.Faults.Records() {
		f := reports.Fault{
			Name: rec.Spec.Name, Fault: rec.Spec.Fault, Target: rec.Spec.Target, Source: rec.Spec.Source,
			Planned:   reports.FaultTimes{StartMS: m.ms(rec.Planned), EndMS: plannedEnd(m, rec)},
			Observed:  reports.FaultTimes{StartMS: -1, EndMS: -1},
			Effective: rec.Effective,
			Reverted:  rec.Reverted,
			Proof:     rec.Proof,
			Error:     rec.Error,
			Skipped:   rec.Skipped,
			DetectMS:  -1, RecoverMS: -1, LagDrainMS: -1,
			BreakerOpenMS: -1, BreakerHalfOpenMS: -1, BreakerCloseMS: -1, ScaleOutMS: -1,
		}
		if rec.Effective {
			f.Observed.StartMS = m.ms(rec.Started)
			if !rec.Ended.IsZero() {
				f.Observed.EndMS = m.ms(rec.Ended)
			}
			m.impact(&f)
			m.damage(&f)
		}
		out = append(out, f)
	}
	return out
}

func plannedEnd(m *measure, rec chaos.Record) int64 {
	if length := rec.Spec.For(); length > 0 {
		return m.ms(rec.Planned.Add(length))
	}
	return -1
}

// groups are those of the components that consume, whose lag shows first when
// they are hit. What else is hit shows in the inventory's.
var groups = map[string]string{
	string(system.Inventory):    inventoryGroup,
	string(system.Order):        events.OrderGroup,
	string(system.Payment):      events.PaymentGroup,
	string(system.Notification): events.NotificationGroup,
}

// groupHit is the group whose lag a fault is measured by: that of the first
// component of the target, or of what is cut off from the broker.
func groupHit(target string) string {
	parts := strings.FieldsFunc(target, func(r rune) bool { return !unicode.IsLetter(r) })
	for i, part := range parts {
		if group := groups[part]; group != "" && (i == 0 || slices.Contains(parts, string(system.Broker))) {
			return group
		}
	}
	return inventoryGroup
}

// impact follows the lag of the group that was hit through a fault. Detection is the first
// look at which the lag or the errors stand above what was seen in the
// baseline window; recovery is back at it for the calm window. A look
// without an answer of the broker counts as above.
func (m *measure) impact(f *reports.Fault) {
	start, end := f.Observed.StartMS, f.Observed.EndMS
	if end < 0 {
		end = start
	}
	looks := m.run.observed.all()
	group := groupHit(f.Target)
	var baselineLag int64
	var baselineBad uint64 // most attempts that ended badly between two looks
	lag, errors := &calm{lasts: calmWindow.Milliseconds()}, &calm{lasts: calmWindow.Milliseconds()}
	for i, l := range looks {
		at := l.at.Milliseconds()
		total, known := lagOf(l.stack, group)
		bad := badSince(looks, i)
		if at < start {
			if at >= start-baselineWindow.Milliseconds() {
				baselineLag, baselineBad = max(baselineLag, total.Total()), max(baselineBad, bad)
			}
			continue
		}
		behind := !known || total.Total() > baselineLag+lagMargin
		f.MaxLag = max(f.MaxLag, total.Total())
		if (behind || bad > baselineBad) && f.DetectMS < 0 {
			f.DetectMS = at - start
		}
		if at < end {
			continue
		}
		drained, lagOver := lag.look(at, behind)
		calmed, errorsOver := errors.look(at, bad > baselineBad)
		if lagOver {
			f.LagDrainMS = drained - end
		}
		if lagOver && errorsOver {
			f.RecoverMS = max(drained, calmed) - end
		}
	}
}

// badSince counts the attempts that ended badly between look i-1 and look i.
func badSince(looks []look, i int) uint64 {
	if i == 0 {
		return 0
	}
	bad := func(c loadgen.Counts) uint64 { return c.Error + c.Timeout + c.Dropped }
	return bad(looks[i].load.Total()) - bad(looks[i-1].load.Total())
}
