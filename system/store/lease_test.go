package store

import (
	"context"
	"errors"
	"testing"

	"github.com/ordbench/ordbench/system/store/storetest"
)

func TestLeaseHasOneHolder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		db, other := openAt(t, path), openAt(t, path) // as another process would
		held, release, err := db.Lease(t.Context(), "relay")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("shutting down")
		cancel(stopped)
		for name, db := range map[string]*DB{"same process": db, "another": other} {
			if _, _, err := db.Lease(ctx, "relay"); !errors.Is(err, stopped) {
				t.Errorf("%s: %v, want to wait until %v", name, err, stopped)
			}
		}
		_, free, err := other.Lease(t.Context(), "audit")
		if err != nil {
			t.Fatalf("a lease of another name: %v", err)
		}
		free()
		next := make(chan error, 2)
		for _, db := range []*DB{db, other} {
			go func() {
				_, release, err := db.Lease(context.Background(), "relay")
				if err == nil {
					release()
				}
				next <- err
			}()
		}
		if held.Err() != nil {
			t.Error("the lease was lost")
		}
		release()
		release() // harmless
		if held.Err() == nil {
			t.Error("who has given it up still holds it")
		}
		if err := errors.Join(<-next, <-next); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLeaseEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		ctx, cancel := context.WithCancel(t.Context())
		held, release, err := db.Lease(ctx, "relay")
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		cancel()
		<-held.Done()
	})
}

func TestLeaseRefusesAPath(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		for _, name := range []string{"", "../x", `a\b`} {
			if _, _, err := db.Lease(t.Context(), name); err == nil {
				t.Errorf("lease %q was given", name)
			}
		}
	})
}
