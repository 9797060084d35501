package chaos

import (
	"slices"
	"testing"
)

func FuzzSpec(f *testing.F) {
	for _, d := range Catalogue() {
		for _, o := range d.Options {
			f.Add(d.Name, d.Targets[0], o.Name, o.Default)
		}
	}
	f.Add("partition", "rest|rest", "for", "1s")
	f.Add("partition", "a+b->", "for", "-1s")
	f.Add("latency", "gateway->order", "delay", "1e9h")
	f.Fuzz(func(t *testing.T, fault, target, option, value string) {
		s := Spec{Fault: fault, Target: target, Options: Options{option: value}}
		problems := s.Validate()
		for _, p := range problems {
			if p.Message == "" {
				t.Errorf("a problem without words: %+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		// What is valid has a meaning: its links are links, and its values
		// can be read.
		for _, l := range s.LinksOf() {
			if !slices.Contains(links, l) {
				t.Errorf("%q is no link", l)
			}
		}
		if s.For() < 0 || s.share(option) < 0 || s.bytes(option) < 0 {
			t.Errorf("%+v has values below zero", s)
		}
	})
}

func TestPartitionsCrossTheLinksBetweenTheirGroups(t *testing.T) {
	for _, tt := range []struct {
		target string
		links  []string
	}{
		{"gateway|order", []string{"gateway->order"}},
		{"order|gateway", []string{"gateway->order"}},
		{"broker|rest", []string{"order->broker", "inventory->broker", "payment->broker", "notification->broker"}},
		{"order+inventory|broker", []string{"order->broker", "inventory->broker"}},
		{"broker->payment", []string{"payment->broker"}},
		{"client|gateway", []string{"client->gateway"}},
	} {
		if got := (Spec{Fault: "partition", Target: tt.target}).LinksOf(); !slices.Equal(got, tt.links) {
			t.Errorf("%s crosses %v, want %v", tt.target, got, tt.links)
		}
	}
	for _, wrong := range []string{"gateway", "gateway|", "gateway|gateway", "gateway|moon", "rest|rest", "order|payment"} {
		if p := (Spec{Fault: "partition", Target: wrong}).Validate(); len(p) == 0 {
			t.Errorf("%q is taken for a partition", wrong)
		}
	}
}
