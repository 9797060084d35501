package system

import (
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
	return s.publishKeys()
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
