package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ordbench/ordbench/loadgen"
)

// Scaled is the scenario at so many times its load. Rates above 10/s are
// rounded to whole ones. It has a text and a sum of its own.
func (s *Scenario) Scaled(factor float64) (*Scenario, error) {
	scale := func(rate float64) float64 {
		if rate *= factor; rate >= 10 {
			rate = math.Round(rate)
		}
		return rate
	}
	out := *s
	out.Traffic.Phases = slices.Clone(s.Traffic.Phases)
	for i := range out.Traffic.Phases {
		p := &out.Traffic.Phases[i]
		switch {
		case p.Trace != nil:
			return nil, fmt.Errorf("phase %q plays a trace, which has no rate to raise", p.Name)
		case p.Users > 0:
			return nil, fmt.Errorf("phase %q is a closed loop, which has no rate to raise", p.Name)
		case p.Sine != nil:
			p.Sine = &loadgen.Sine{Low: scale(p.Sine.Low), High: scale(p.Sine.High), Period: p.Sine.Period}
		case p.Spike != nil:
			spike := *p.Spike
			spike.Base, spike.Peak = scale(spike.Base), scale(spike.Peak)
			p.Spike = &spike
		}
		p.Rate, p.RateTo = scale(p.Rate), scale(p.RateTo)
		p.Steps = slices.Clone(p.Steps)
		for j := range p.Steps {
			p.Steps[j] = scale(p.Steps[j])
		}
	}
	if out.Peak() > fastest {
		return nil, fmt.Errorf("%.0f/s is beyond any machine", out.Peak())
	}
	if out.Peak() == 0 {
		return nil, errors.New("no recorded phase has a rate to raise")
	}
	out.Resolved = resolve(&out)
	sum := sha256.Sum256([]byte(out.Resolved))
	out.SHA256 = hex.EncodeToString(sum[:])
	return &out, nil
}

// Peak is the highest rate of the recorded phases, per second.
func (s *Scenario) Peak() float64 {
	peak := 0.0
	for _, p := range s.Traffic.Phases {
		if !p.Record {
			continue
		}
		peak = max(peak, p.Rate, p.RateTo)
		for _, rate := range p.Steps {
			peak = max(peak, rate)
		}
		if p.Sine != nil {
			peak = max(peak, p.Sine.High)
		}
		if p.Spike != nil {
			peak = max(peak, p.Spike.Base, p.Spike.Peak)
		}
	}
	return peak
}
