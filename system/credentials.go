package system

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/ordbench/ordbench/system/pki"
)

// longestToken bounds the life of a bearer token.
const longestToken = 24 * time.Hour

// KeySetPath is the file below a stack's directory by which gateways check
// bearer tokens: public keys, no secret.
func KeySetPath(dir string) string { return filepath.Join(dir, "pki", "jwks.json") }

// IdentityPath is the file below a stack's directory with the credentials of
// a replica. Nobody else has a use for it.
func IdentityPath(dir, replica string) string { return filepath.Join(dir, "pki", replica+".pem") }

// AuditPath is where all that belongs to a stack writes down whom it turned
// away, and who changed something.
func AuditPath(logDir string) string { return filepath.Join(logDir, "audit.jsonl") }

// credential makes the issuer of the stack's bearer tokens and publishes its
// keys. Private keys stay in the memory of this process.
func (s *Stack) credential() error {
	if err := os.MkdirAll(filepath.Dir(KeySetPath(s.cfg.Dir)), 0o700); err != nil {
		return err
	}
	issuer, err := pki.NewIssuer()
	if err != nil {
		return err
	}
	s.issuer = issuer
	if s.authority, err = pki.NewAuthority(time.Now()); err != nil {
		return err
	}
	return s.publishKeys()
}

// certify gives every service new credentials, those of one epoch.
func (s *Stack) certify(epoch int64) error {
	for _, r := range s.fleet.Replicas() {
		if r.Component == Broker || r.Component == Cache || r.Component == Database {
			continue
		}
		text, err := s.authority.Certify(string(r.Component), r.Name, epoch, time.Now(), s.certificateLife())
		if err != nil {
			return err
		}
		if err := pki.WriteFile(IdentityPath(s.cfg.Dir, r.Name), text, 0o600); err != nil {
			return fmt.Errorf("credentials of %s: %w", r.Name, err)
		}
	}
	return nil
}

func (s *Stack) certificateLife() time.Duration {
	if s.cfg.CertificateLife > 0 {
		return s.cfg.CertificateLife
	}
	return pki.CertificateLife
}

// keepCertified renews all credentials in time, until ctx ends. Services read
// them again without a restart.
func (s *Stack) keepCertified(ctx context.Context) {
	// From the end of one renewal: two in a row would leave behind who is
	// understood one epoch away.
	due := time.NewTimer(s.certificateLife() / 3)
	defer due.Stop()
	for epoch := int64(2); ; epoch++ {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
			if err := s.certify(epoch); err != nil {
				s.log.Warn("credentials were not renewed", "err", err)
			}
			due.Reset(s.certificateLife() / 3)
		}
	}
}

func (s *Stack) publishKeys() error {
	keys, err := s.issuer.KeySet()
	if err != nil {
		return err
	}
	return pki.WriteFile(KeySetPath(s.cfg.Dir), keys, 0o644)
}

// Token issues a bearer token for this stack's gateway.
func (s *Stack) Token(g pki.Grant) (string, error) {
	switch {
	case g.Subject == "" || len(g.Subject) > 128 || strings.IndexFunc(g.Subject, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return "", fmt.Errorf("issue a token: user %.40q must be 1 to 128 printable bytes", g.Subject)
	case g.For <= 0 || g.For > longestToken:
		return "", fmt.Errorf("issue a token: %s must be more than 0 and at most %s", g.For, longestToken)
	}
	for _, role := range g.Roles {
		if role != pki.RoleStorefront && role != pki.RoleBatch {
			return "", fmt.Errorf("issue a token: unknown role %q; there are %s and %s", role, pki.RoleStorefront, pki.RoleBatch)
		}
	}
	return s.issuer.Issue(g, time.Now())
}

// RotateKeys signs tokens with a new key from now on. Tokens of the last few
// keys stay good until they expire.
func (s *Stack) RotateKeys() error {
	if err := s.issuer.Rotate(); err != nil {
		return err
	}
	return s.publishKeys()
}
