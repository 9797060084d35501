package endpoint

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestReservedAddressRefusesUntilItsOwnerListens(t *testing.T) {
	r, err := Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for range 3 { // as often as a killed replica comes back
		if _, err := net.Dial("tcp", r.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial while down: %v, want connection refused", err)
		}
		l, err := Listen(context.Background(), r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
}

func TestFixedPortThatIsTakenIsRefused(t *testing.T) {
	r, err := Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if second, err := Reserve(r.Addr()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("second reservation of %s: %v, %v; want address in use", r.Addr(), second, err)
	}
}

func TestReservationsNeverShareAPort(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		r, err := Reserve("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		if seen[r.Addr()] {
			t.Fatalf("%s was given twice", r.Addr())
		}
		seen[r.Addr()] = true
	}
}
