package conductor

import "testing"

func TestCalmIsTheFirstThatLasted(t *testing.T) {
	for _, row := range []struct {
		name      string
		disturbed []bool // a look each 250 ms
		over      int64
		ok        bool
	}{
		{"never disturbed", []bool{false, false, false, false, false}, 0, true},
		{"over at once", []bool{true, false, false, false, false, false}, 250, true},
		{"a short calm does not count", []bool{true, false, false, true, false, false, false, false, false}, 1000, true},
		{"what comes after a calm that lasted does not count", []bool{false, false, false, false, false, true, true}, 0, true},
		{"not long enough yet", []bool{true, false, false, false, false}, 0, false},
		{"never over", []bool{true, true, true}, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := calm{lasts: 1000}
			var over int64
			var ok bool
			for i, d := range row.disturbed {
				over, ok = c.look(int64(i)*250, d)
			}
			if ok != row.ok || ok && over != row.over {
				t.Errorf("over at %d, %v; want %d, %v", over, ok, row.over, row.ok)
			}
		})
	}
}
