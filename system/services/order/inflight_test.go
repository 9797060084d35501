package order

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/store"
)

// stop lets no order into the database until it is released.
func stop(t *testing.T, b *book) (release func()) {
	t.Helper()
	begun, over := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- b.db.Write(t.Context(), func(*store.Tx) error {
			close(begun)
			<-over
			return nil
		})
	}()
	<-begun
	return func() {
		close(over)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestARepeatInFlightIsAConflictAndThenTheSameAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	a, h := newAPI(t, func(c *Config) { c.Database = path })
	_, replica := newAPI(t, func(c *Config) { c.Database = path })
	conflict := func(who string, w *httptest.ResponseRecorder) {
		t.Helper()
		p := read[endpoint.Problem](t, w)
		if w.Code != http.StatusConflict || w.Header().Get("Retry-After") == "" || p.Type != "urn:ordbench:problem:in-flight" {
			t.Errorf("%s: %d %s %s, want 409 with Retry-After", who, w.Code, w.Header(), w.Body)
		}
		if w.Header().Get("X-Refused-By") != "" {
			t.Errorf("%s: marked as certainly not processed, and the order may be made", who)
		}
	}
	release := stop(t, a.book)
	answers := make(chan *httptest.ResponseRecorder, 2)
	for range 2 {
		go func() { answers <- post(h, "k", anOrder) }()
	}
	conflict("the same replica", <-answers) // whichever of them came second
	conflict("another replica", post(replica, "k", anOrder))
	conflict("another order", post(h, "k", `{"user_id":"u9","total":1}`))
	release()
	answer := <-answers
	if answer.Code != http.StatusAccepted {
		t.Fatalf("the first is answered with %d %s", answer.Code, answer.Body)
	}
	for name, h := range map[string]http.Handler{"the same replica": h, "another": replica} {
		w := post(h, "k", anOrder)
		if w.Code != http.StatusAccepted || w.Body.String() != answer.Body.String() || w.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %s after the answer, want that again: %s", name, w.Code, w.Body, answer.Body)
		}
	}
	if n := count(t, a, `SELECT count(*) FROM orders`); n != 1 {
		t.Errorf("%d orders under one key", n)
	}
}

// A request that fails leaves its key free: else a customer could never try
// again.
func TestAFailedRequestFreesItsKey(t *testing.T) {
	a, h := newAPI(t, nil)
	if w := post(h, "k", `{}`); w.Code != http.StatusBadRequest {
		t.Fatalf("answer %d", w.Code)
	}
	free, err := a.book.claim("k")
	if err != nil {
		t.Fatal(err)
	}
	free()
	if w := post(h, "k", anOrder); w.Code != http.StatusAccepted {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}

func TestWithoutIdempotencyARepeatIsAnotherOrder(t *testing.T) {
	a, h := newAPI(t, func(c *Config) { c.Idempotency = false })
	ids := map[string]bool{}
	for range 3 {
		w := post(h, "k", anOrder)
		if w.Code != http.StatusAccepted || w.Header().Get("Idempotency-Replayed") != "" {
			t.Fatalf("answer %d %s %s", w.Code, w.Header(), w.Body)
		}
		ids[read[accepted](t, w).ID] = true
	}
	if n := count(t, a, `SELECT count(*) FROM orders WHERE unused_key = 'k'`); n != 3 || len(ids) != 3 {
		t.Errorf("%d orders, %d ids, want 3", n, len(ids))
	}
	if w := post(h, "", anOrder); w.Code != http.StatusBadRequest {
		t.Errorf("without a key: %d", w.Code)
	}
}
