package chaos

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestShrinkFindsTheSmallestPartThatFails(t *testing.T) {
	var schedule []Timed
	for i := range 20 {
		schedule = append(schedule, Timed{Spec: Spec{Name: strconv.Itoa(i)}})
	}
	for _, guilty := range [][]string{{"0"}, {"19"}, {"7", "8"}, {"0", "10", "19"}, {"3", "5", "11", "17"}} {
		t.Run(strings.Join(guilty, " "), func(t *testing.T) {
			runs := 0
			got, err := Shrink(t.Context(), schedule, func(_ context.Context, part []Timed) (bool, error) {
				runs++
				for _, g := range guilty {
					if !slices.ContainsFunc(part, func(f Timed) bool { return f.Spec.Name == g }) {
						return false, nil
					}
				}
				return true, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, f := range got {
				names = append(names, f.Spec.Name)
			}
			if !slices.Equal(names, guilty) {
				t.Errorf("%v after %d runs, want %v", names, runs, guilty)
			}
		})
	}
}

func TestShrinkKeepsWhatItHasWhenARunBreaks(t *testing.T) {
	schedule := []Timed{{Spec: Spec{Name: "a"}}, {Spec: Spec{Name: "b"}}}
	got, err := Shrink(t.Context(), schedule, func(context.Context, []Timed) (bool, error) { return false, errors.New("no disk") })
	if err == nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTheSameSeedDrawsTheSameSchedule(t *testing.T) {
	n := Nemesis{
		Faults:    []Spec{{Fault: "kill", Target: "order"}, {Fault: "pause", Target: "broker"}, {Fault: "latency", Target: "gateway->order"}},
		PerSecond: 1, From: 2e9, Until: 60e9, Seed: 7, Shortest: 5e8, Longest: 3e9,
	}
	a, b := n.Schedule(), n.Schedule()
	if len(a) < 20 {
		t.Fatalf("%d faults in a minute at one a second", len(a))
	}
	for i := range a {
		if a[i].At != b[i].At || a[i].Spec.Name != b[i].Spec.Name || a[i].Spec.Options["for"] != b[i].Spec.Options["for"] {
			t.Fatalf("%+v and %+v", a[i], b[i])
		}
		if p := a[i].Spec.Validate(); len(p) > 0 {
			t.Errorf("%+v: %v", a[i].Spec, p[0])
		}
		if a[i].At < n.From || a[i].At >= n.Until || a[i].At+a[i].Spec.For() > n.Until+1e7 {
			t.Errorf("%s at %s for %s is out of its time", a[i].Spec.Name, a[i].At, a[i].Spec.For())
		}
	}
	n.Seed = 8
	if c := n.Schedule(); c[0].At == a[0].At {
		t.Error("another seed draws the same")
	}
}
