package endpoint

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestServeDoesNotWaitForAConnectionThatWasNeverUsed(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, NewServer(http.NotFoundHandler()), 3*time.Second) }()
	unused, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	// One answered request shows that the connection before it was accepted.
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	// Shutdown alone takes such a connection for a request on its way until it
	// is five seconds old, and so would run out of its grace.
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestServeCutsOffWhatOutlastsTheGrace(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	go func() { ended <- Serve(ctx, l, NewServer(h), 20*time.Millisecond) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err == nil {
		resp.Body.Close()
		t.Errorf("answered %s, want the connection cut off", resp.Status)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("end: %v, want the grace to have run out", err)
	}
}

func TestServeSaysThatItsListenerBroke(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, NewServer(http.NotFoundHandler()), time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("end: %v, want the closed listener", err)
	}
}
