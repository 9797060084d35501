package scenarios

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse holds what is promised for any text: no panic, problems with
// places, and a resolved text that is the same scenario.
func FuzzParse(f *testing.F) {
	for _, e := range Library() {
		f.Add(e.YAML, "")
	}
	f.Add(everything, "system.patterns.outbox=off")
	for _, row := range kindsOfProblem {
		f.Add(strings.Replace(sound, row.old, row.new, 1), "")
	}
	for _, override := range []string{"seed=9", "traffic.phases.steady.rate=5", "chaos.0.at={", "a.b.c", "gates.p99=~"} {
		f.Add(sound, override)
	}
	f.Add("? a\n: &x [*x, !!str b]\n<<: {c: d}\n", "=")
	f.Fuzz(func(t *testing.T, document, override string) {
		var overrides []string
		if override != "" {
			overrides = []string{override}
		}
		s, err := Parse("fuzz.yaml", []byte(document), overrides...)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%T without problems", err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Column > utf8.RuneCountInString(p.Source)+1 || p.Message == "" {
					t.Fatalf("problem without a place: %+v", p)
				}
			}
			if text := problems.Error(); !utf8.ValidString(text) || strings.ContainsRune(text, '\x1b') {
				t.Fatalf("printed form can't be shown: %q", text)
			}
			return
		}
		again, err := Parse("resolved.yaml", []byte(s.Resolved))
		if err != nil {
			t.Fatalf("the resolved text does not load: %v\n%s", err, s.Resolved)
		}
		if diff := same(s, again); diff != "" {
			t.Fatalf("the resolved text is another scenario (-first +second):\n%s", diff)
		}
		if err := s.Plan().Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
