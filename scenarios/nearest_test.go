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
