package pki

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reloadEvery is how often the credentials file is looked at, when they are
// used.
const reloadEvery = time.Second

// Identity is who a replica is: its credentials, from a file that is read
// again whenever it was replaced. A nil Identity is nobody: it dials without
// TLS and signs nothing.
type Identity struct {
	path    string
	log     *slog.Logger
	current atomic.Pointer[loaded]
	looked  atomic.Int64 // ns of the Unix epoch
	looking sync.Mutex   // one looks, and who comes meanwhile waits for what it finds
}

type loaded struct {
	*credentials
	file os.FileInfo
}

// OpenIdentity reads the credentials at path; "" is nobody.
func OpenIdentity(path string, log *slog.Logger) (*Identity, error) {
	if path == "" {
		return nil, nil
	}
	i := &Identity{path: path, log: log}
	c, err := i.load()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	i.current.Store(c)
	i.looked.Store(time.Now().UnixNano())
	return i, nil
}

func (i *Identity) load() (*loaded, error) {
	file, err := os.Stat(i.path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(i.path)
	if err != nil {
		return nil, err
	}
	c, err := parseCredentials(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.path, err)
	}
	return &loaded{c, file}, nil
}

// now is the credentials of this moment. Nobody gets those of long ago because
// somebody else is just about to read the new ones.
func (i *Identity) now() *credentials {
	if i.fresh() {
		return i.current.Load().credentials
	}
	i.looking.Lock()
	defer i.looking.Unlock()
	old := i.current.Load()
	if i.fresh() {
		return old.credentials
	}
	defer func() { i.looked.Store(time.Now().UnixNano()) }()
	if file, err := os.Stat(i.path); err == nil && os.SameFile(file, old.file) && file.ModTime().Equal(old.file.ModTime()) {
		return old.credentials
	}
	c, err := i.load()
	if err != nil {
		i.log.Warn("credentials were not renewed", "err", err)
		return old.credentials
	}
	i.current.Store(c)
	i.log.Info("credentials renewed", "until", c.leaf.Leaf.NotAfter)
	return c.credentials
}

// fresh says that the file was looked at just now.
func (i *Identity) fresh() bool { return time.Now().UnixNano()-i.looked.Load() < int64(reloadEvery) }

// serverTLS asks every client for a certificate of the same authority.
func (i *Identity) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      i.now().roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &i.now().leaf, nil },
	}
}

// Dialer connects to a component, and finds out that it is the one: whatever
// listens at the address must have the certificate of that component.
func (i *Identity) Dialer(component string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if i == nil {
		return dial
	}
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         serverName(component),
		RootCAs:            i.now().roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.now().leaf, nil
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			if is, err := componentOf(s.PeerCertificates[0]); err != nil || is != component {
				return fmt.Errorf("%s answers as %q: %w", component, is, errNoIdentity)
			}
			return nil
		},
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = c.Close() // why there is no connection says more
			return nil, err
		}
		return secure, nil
	}
}

// Token is the service token for one call to a component, "" from nobody.
func (i *Identity) Token(component string, now time.Time) string {
	if i == nil {
		return ""
	}
	if s, ok := i.now().signers[component]; ok {
		return s.sign(now)
	}
	return ""
}
