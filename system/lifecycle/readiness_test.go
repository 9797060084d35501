package lifecycle

import "testing"

func TestReadiness(t *testing.T) {
	for _, row := range []struct {
		name    string
		steps   []string
		reached []string
		stopped bool
		want    string // "" if ready
	}{
		{"who waits for nothing is ready", nil, nil, false, ""},
		{"every step is named", []string{"topics", "partitions"}, nil, false, "waiting for topics, partitions"},
		{"a step that is reached is not", []string{"topics", "partitions"}, []string{"topics"}, false, "waiting for partitions"},
		{"steps are reached in any order", []string{"topics", "partitions"}, []string{"partitions", "topics"}, false, ""},
		{"a step may be reached again", []string{"topics"}, []string{"topics", "topics"}, false, ""},
		{"who stops is not ready", nil, nil, true, "stopping"},
		{"who stops waits for nothing any more", []string{"topics"}, nil, true, "stopping"},
		{"who stops does not become ready", []string{"topics"}, []string{"topics"}, true, "stopping"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := WaitFor(row.steps...)
			if row.stopped {
				r.stop()
			}
			for _, step := range row.reached {
				r.Reached(step)
			}
			got := ""
			if err := r.Check(t.Context()); err != nil {
				got = err.Error()
			}
			if got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
