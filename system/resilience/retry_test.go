package resilience

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func always(error) bool { return true }

// tries counts how often r makes a call that fails n times.
func tries(t *testing.T, r *Retry, n int, again func(error) bool) (made int, err error) {
	t.Helper()
	err = r.Do(t.Context(), again, func(context.Context) error {
		if made++; made <= n {
			return errIll
		}
		return nil
	})
	return made, err
}

func TestRetryMakesACallAgainUntilItIsWell(t *testing.T) {
	for _, row := range []struct {
		name    string
		tries   int
		fails   int
		again   func(error) bool
		made    int
		isError bool
	}{
		{"what is well is made once", 3, 0, always, 1, false},
		{"what fails once is made twice", 3, 1, always, 2, false},
		{"what keeps failing is given up", 3, 9, always, 3, true},
		{"what must not be repeated is not", 3, 9, func(error) bool { return false }, 1, true},
		{"one try is one", 1, 9, always, 1, true},
		{"none is one, too", 0, 9, always, 1, true},
	} {
		made, err := tries(t, NewRetry(RetryConfig{Tries: row.tries, Budget: true}), row.fails, row.again)
		if made != row.made || (err != nil) != row.isError {
			t.Errorf("%s: %d tries, %v, want %d", row.name, made, err, row.made)
		}
	}
}

func TestBudgetKeepsAnIllDependencyFromBeingAskedMuchMore(t *testing.T) {
	const requests = 1000
	count := func(budget bool) (made int) {
		r := NewRetry(RetryConfig{Tries: 3, Budget: budget})
		for range requests {
			n, _ := tries(t, r, 9, always)
			made += n
		}
		return made
	}
	if made := count(true); made > requests*11/10+savings/cost {
		t.Errorf("%d requests became %d calls with a budget of a tenth", requests, made)
	}
	if made := count(false); made != 3*requests {
		t.Errorf("%d requests became %d calls without a budget, want %d", requests, made, 3*requests)
	}
}

func TestBudgetIsEarnedBack(t *testing.T) {
	r := NewRetry(RetryConfig{Tries: 2, Budget: true})
	for range 100 {
		tries(t, r, 9, always)
	}
	if _, err := tries(t, r, 9, always); err == nil {
		t.Fatal("it is well")
	}
	for range 10 {
		tries(t, r, 0, always)
	}
	if made, err := tries(t, r, 1, always); made != 2 || err != nil {
		t.Errorf("%d tries, %v, want a second one after ten calls that were well", made, err)
	}
}

func TestPausesAreJitteredAndGrow(t *testing.T) {
	var longest [8]time.Duration
	for try := range longest {
		seen := map[time.Duration]bool{}
		for range 1000 {
			d := pause(try + 1)
			if d < 0 || d > min(firstPause<<try, lastPause) {
				t.Fatalf("pause %d: %s", try+1, d)
			}
			longest[try] = max(longest[try], d)
			seen[d] = true
		}
		if len(seen) < 900 {
			t.Errorf("pause %d: %d different of 1,000", try+1, len(seen))
		}
		if try > 0 && longest[try] < longest[try-1]/2 {
			t.Errorf("pause %d is shorter than the one before: %s, %s", try+1, longest[try], longest[try-1])
		}
	}
}

func TestNobodyWaitsForARetryBeyondHisDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRetry(RetryConfig{Tries: 1000, Backoff: true})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := r.Do(ctx, always, func(context.Context) error { return errIll }); !errors.Is(err, errIll) {
			t.Error(err)
		}
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}
