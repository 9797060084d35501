package lifecycle

import "testing"

func TestProblemsNamesEachOfThem(t *testing.T) {
	var p Problems
	p.Need(true, "replica is missing")
	p.Address("listen", "127.0.0.1:1")
	p.Address("broker")
	if err := p.Err(); err != nil {
		t.Errorf("nothing is wrong, and yet: %v", err)
	}
	p.Need(false, "grace is not positive: %d", -1)
	p.Address("broker", "nowhere", "127.0.0.1:1", "")
	want := "grace is not positive: -1\nbroker \"nowhere\" is not host:port\nbroker \"\" is not host:port"
	if err := p.Err(); err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}
