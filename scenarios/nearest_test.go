package scenarios

import "testing"

func TestNearestNamesWhatWasProbablyMeant(t *testing.T) {
	known := []string{"gateway", "order", "inventory", "broker", "cache"}
	for _, row := range []struct{ name, want string }{
		{"inventroy", "inventory"},
		{"Inventory", "inventory"},
		{"odrer", "order"},
		{"orders", "order"},
		{"brokr", "broker"},
		{"payment", ""},
		{"x", ""},
		{"", ""},
	} {
		if got := nearest(row.name, known); got != row.want {
			t.Errorf("nearest to %q is %q, want %q", row.name, got, row.want)
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"rate", "rte", 1}, {"größe", "grösse", 2},
	} {
		if got := distance(row.a, row.b); got != row.want {
			t.Errorf("distance(%q, %q) = %d, want %d", row.a, row.b, got, row.want)
		}
		if distance(row.a, row.b) != distance(row.b, row.a) {
			t.Errorf("distance(%q, %q) depends on the order", row.a, row.b)
		}
	}
}
