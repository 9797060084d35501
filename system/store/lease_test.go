package store

import (
	"context"
	"errors"
	"testing"
)

func TestLeaseHasOneHolder(t *testing.T) {
	db := opened(t)
	other := openAt(t, db.path) // as another process would
	release, err := db.Lease(t.Context(), "relay")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("shutting down")
	cancel(stopped)
	for name, db := range map[string]*DB{"same process": db, "another": other} {
		if _, err := db.Lease(ctx, "relay"); !errors.Is(err, stopped) {
			t.Errorf("%s: %v, want to wait until %v", name, err, stopped)
		}
	}
	free, err := other.Lease(t.Context(), "audit")
	if err != nil {
		t.Fatalf("a lease of another name: %v", err)
	}
	free()
	next := make(chan error, 1)
	go func() {
		release, err := other.Lease(context.Background(), "relay")
		if err == nil {
			release()
		}
		next <- err
	}()
	release()
	release() // harmless
	if err := <-next; err != nil {
		t.Fatal(err)
	}
}

func TestLeaseRefusesAPath(t *testing.T) {
	db := opened(t)
	for _, name := range []string{"", "../x", `a\b`} {
		if _, err := db.Lease(t.Context(), name); err == nil {
			t.Errorf("lease %q was given", name)
		}
	}
}
