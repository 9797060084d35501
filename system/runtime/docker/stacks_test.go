package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/pki"
)

// TestTwoStacks boots two stacks side by side and looks at what they are:
// boots cost more than looks. The first asks for certificates, renewed every
// five seconds; the second believes whoever reaches it.
func TestTwoStacks(t *testing.T) {
	e := needDaemon(t)
	rt := Runtime{Binary: program(t, e)}
	var stacks [2]*system.Stack
	dirs := [2]string{t.TempDir(), t.TempDir()}
	booting, ctx := errgroup.WithContext(t.Context())
	for i := range stacks {
		booting.Go(func() (err error) {
			cfg := system.DefaultConfig()
			cfg.Dir = dirs[i]
			cfg.Patterns.MTLS = i == 0
			cfg.CertificateLife = 15 * time.Second // the daemon takes a while to copy those of a stack
			stacks[i], err = system.Boot(ctx, rt, cfg, nil)
			return err
		})
	}
	err := booting.Wait()
	t.Cleanup(func() {
		for _, s := range stacks {
			if s != nil {
				if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stacks {
		s.AwaitPrepared(t.Context())
	}
	first, second := visit(t, e, stacks[0]), visit(t, e, stacks[1])
	t.Run("they do not meet", func(t *testing.T) { apart(t, first, second) })
	t.Run("the infrastructure says what it is", func(t *testing.T) {
		for name, product := range map[string]string{"broker": "Apache Kafka ", "cache": "Redis ", "database": "PostgreSQL "} {
			if is := first.Infrastructure(t.Context())[name]; !strings.HasPrefix(is, product) || strings.Contains(is, unknownVersion) {
				t.Errorf("%s is %q", name, is)
			}
		}
	})
	t.Run("services ask for certificates", func(t *testing.T) { guarded(t, e, first, second) })
	t.Run("certificates are renewed in containers that run", func(t *testing.T) { renewal(t, first) })
	t.Run("what dies comes back with what it had", func(t *testing.T) { comesBack(t, first) })
	t.Run("the end of one leaves the other", func(t *testing.T) {
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h, err := list(t.Context(), e.api, labelStack+"="+first.id); err != nil || !h.empty() {
			t.Errorf("left of the first: %+v, %v", h, err)
		}
		order(t, second)
		if now := visit(t, e, second.Stack); len(now.containers) != len(second.containers) {
			t.Errorf("the second had %d containers and has %d", len(second.containers), len(now.containers))
		}
		drain(t, second)
	})
}

// visited is a stack with what the daemon knows of it.
type visited struct {
	*system.Stack
	id         string
	containers map[string]string // address in the stack's network, by replica
	ids        map[string]string // of the containers, by replica
	ports      []uint16          // that it publishes
	exposed    []string          // addresses of this machine that are not loopback
	network    []string
}

// visit finds a stack by the port of its gateway.
func visit(t *testing.T, e *engine, s *system.Stack) visited {
	t.Helper()
	all, err := e.api.ContainerList(t.Context(), client.ContainerListOptions{Filters: client.Filters{}.Add("label", labelStack)})
	if err != nil {
		t.Fatal(err)
	}
	v := visited{Stack: s, containers: map[string]string{}, ids: map[string]string{}}
	for _, c := range all.Items {
		for _, p := range c.Ports {
			if strings.HasSuffix(s.URL(), fmt.Sprintf(":%d", p.PublicPort)) {
				v.id = c.Labels[labelStack]
			}
		}
	}
	for _, c := range all.Items {
		if c.Labels[labelStack] != v.id {
			continue
		}
		v.ids[c.Labels[labelReplica]] = c.ID
		for name, n := range c.NetworkSettings.Networks {
			v.containers[c.Labels[labelReplica]] = n.IPAddress.String()
			if !slices.Contains(v.network, name) {
				v.network = append(v.network, name)
			}
		}
		for _, p := range c.Ports {
			if p.PublicPort == 0 {
				continue
			}
			v.ports = append(v.ports, p.PublicPort)
			if !p.IP.IsLoopback() {
				v.exposed = append(v.exposed, net.JoinHostPort(p.IP.String(), strconv.Itoa(int(p.PublicPort))))
			}
		}
	}
	return v
}

func apart(t *testing.T, first, second visited) {
	if first.id == second.id || len(first.containers) < 8 || len(second.containers) < 8 {
		t.Fatalf("stack %s has %d containers, stack %s has %d", first.id, len(first.containers), second.id, len(second.containers))
	}
	if len(first.network) != 1 || len(second.network) != 1 || first.network[0] == second.network[0] {
		t.Errorf("networks %v and %v, want one each", first.network, second.network)
	}
	for _, p := range first.ports {
		if slices.Contains(second.ports, p) {
			t.Errorf("both publish %d", p)
		}
	}
	if bad := slices.Concat(first.exposed, second.exposed); len(bad) > 0 {
		t.Errorf("published for everybody: %v", bad)
	}
	order(t, first)
	drain(t, first)
	drain(t, second)
	if a, b := orders(t, first), orders(t, second); a != 1 || b != 0 {
		t.Errorf("one order in the first: %d and %d orders are in the books, want 1 and 0", a, b)
	}
}

// order places one order.
func order(t *testing.T, v visited) {
	t.Helper()
	token, err := v.Token(pki.Grant{Subject: "u123", For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.URL()+"/orders", bytes.NewReader([]byte(`{"user_id":"u123","total":99.95}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s", res.Status, text)
	}
}

// drain waits until nothing is in flight.
func drain(t *testing.T, v visited) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for look := time.NewTicker(50 * time.Millisecond); ; {
		d, err := v.Drained(ctx)
		if err == nil && d.Done() {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("not at rest after a minute: %s, %v", d, err)
		}
	}
}

// counter counts the orders of an audit.
type counter struct{ orders int }

func (c *counter) Order(system.OrderRow) error             { c.orders++; return nil }
func (*counter) Movement(system.MovementRow) error         { return nil }
func (*counter) Stock(system.StockRow) error               { return nil }
func (*counter) Charge(system.ChargeRow) error             { return nil }
func (*counter) Entry(system.EntryRow) error               { return nil }
func (*counter) Notification(system.NotificationRow) error { return nil }
func (*counter) Outbox(system.OutboxRow) error             { return nil }
func (*counter) Event(system.EventRow) error               { return nil }
func (*counter) Inbox(system.InboxRow) error               { return nil }
func (*counter) DeadLetter(system.DeadLetter) error        { return nil }
func (*counter) InDoubt(system.InDoubtRow) error           { return nil }

func orders(t *testing.T, v visited) int {
	t.Helper()
	var c counter
	if err := v.Audit(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	return c.orders
}

// guarded asks services past the gateway, from this machine's end of their
// network.
func guarded(t *testing.T, e *engine, mtls, clear visited) {
	for _, name := range []string{"order-0", "inventory-0", "payment-0", "notification-0"} {
		addr := net.JoinHostPort(mtls.containers[name], servicePort)
		res, err := http.Get("http://" + addr + "/orders/1")
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusBadRequest { // "client sent an HTTP request to an HTTPS server"
				t.Errorf("%s in cleartext: %s", name, res.Status)
			}
		}
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("%s has no certificate: %v", name, err)
			continue
		}
		fmt.Fprint(c, "GET /orders/1 HTTP/1.0\r\n\r\n")
		if answer, err := io.ReadAll(c); err == nil || len(answer) > 0 {
			t.Errorf("%s without a certificate of the caller: %q", name, answer)
		}
		c.Close()
	}
	thief, err := pki.OpenIdentity(steal(t, e, mtls.ids["gateway-0"]), nil)
	if err != nil {
		t.Fatal(err)
	}
	web := http.Client{Transport: &http.Transport{DialContext: thief.Dialer("order", (&net.Dialer{}).DialContext)}}
	defer web.CloseIdleConnections()
	stolen := thief.Token("order", time.Now())
	for i, want := range []int{http.StatusNotFound, http.StatusUnauthorized} { // good once
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(mtls.containers["order-0"], servicePort)+"/orders/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(pki.TokenField, stolen)
		res, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		why, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("use %d of a service token: %s, want %d: %s", i+1, res.Status, want, why)
		}
	}
	// And with the pattern off the same question is answered.
	res, err := http.Get("http://" + net.JoinHostPort(clear.containers["order-0"], servicePort) + "/orders/1")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("without mtls: %s, want 404", res.Status)
	}
}

// steal takes the credentials that a container has, into a file.
func steal(t *testing.T, e *engine, id string) (path string) {
	t.Helper()
	got, err := e.api.CopyFromContainer(t.Context(), id, client.CopyFromContainerOptions{SourcePath: identityPath})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Content.Close()
	archive := tar.NewReader(got.Content)
	if _, err := archive.Next(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "stolen.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// renewal waits until a service shows another certificate than before.
func renewal(t *testing.T, v visited) {
	serial := func() string {
		c, err := tls.Dial("tcp", net.JoinHostPort(v.containers["order-0"], servicePort), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for look := time.NewTicker(100 * time.Millisecond); serial() == before; {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatal("it has the same certificate after a minute")
		}
	}
	for _, c := range v.Status(t.Context()).Components {
		for _, r := range c.Replicas {
			if r.Restarts != 0 {
				t.Errorf("%s was started again", r.Name)
			}
		}
	}
	order(t, v) // and its neighbours understand it
}

// comesBack kills and pauses, and looks whether the books are those of before.
func comesBack(t *testing.T, v visited) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	before := orders(t, v)
	for _, replica := range []string{"broker-0", "cache-0", "database-0", "order-0", "inventory-0"} {
		if _, detail, err := v.Kill(ctx, replica, 0); err != nil || !strings.Contains(detail, "signal: killed") {
			t.Errorf("kill %s: %q, %v", replica, detail, err)
		}
		if _, _, err := v.AwaitReady(ctx, replica); err != nil {
			t.Error(err)
		}
	}
	if _, detail, err := v.Pause(ctx, "broker-0"); err != nil || !strings.Contains(detail, "paused") {
		t.Errorf("pause: %q, %v", detail, err)
	}
	if _, _, err := v.Resume(ctx, "broker-0"); err != nil {
		t.Error(err)
	}
	// What is frozen dies too.
	if _, _, err := v.Pause(ctx, "payment-0"); err != nil {
		t.Error(err)
	}
	if _, detail, err := v.Kill(ctx, "payment-0", 0); err != nil || !strings.Contains(detail, "signal: killed") {
		t.Errorf("kill what is paused: %q, %v", detail, err)
	}
	if _, _, err := v.AwaitReady(ctx, "payment-0"); err != nil {
		t.Error(err)
	}
	order(t, v)
	drain(t, v)
	if after := orders(t, v); after != before+1 {
		t.Errorf("%d orders before the kills, %d after them and one more", before, after)
	}
}
