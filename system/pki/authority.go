package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"time"
)

// trustDomain is what the identities of a stack have in common.
const trustDomain = "ordbench"

// CertificateLife is how long a component's certificate lasts by default. It
// is renewed after a third of that.
const CertificateLife = time.Hour

// mayCall is who may call whom, and nobody else anybody.
var mayCall = map[string][]string{
	"gateway": {"order", "inventory"},
	"order":   {"inventory", "payment", "notification"}, // in line, where the coupling is sync
}

// identity is the name of a component, as its certificates carry it.
func identity(component string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/" + component}
}

// serverName is what the certificate of a component is asked for. Where the
// component is to be found has nothing to do with who it is.
func serverName(component string) string { return component + "." + trustDomain }

// Authority certifies the components of one stack, and gives each pair of
// components that may call each other a key for service tokens. Its own keys
// live in the memory of the process that made it and nowhere else.
type Authority struct {
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	secret [32]byte // from which the keys of pairs are derived
	serial int64
}

// authorityLife is longer than any stack lives.
const authorityLife = 30 * 24 * time.Hour

// NewAuthority makes an authority with fresh keys.
func NewAuthority(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the authority: %w", err)
	}
	a := &Authority{key: key}
	_, _ = rand.Read(a.secret[:]) // never fails
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: trustDomain + " authority"},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certify the authority: %w", err)
	}
	a.cert, err = x509.ParseCertificate(der)
	a.serial = 1
	return a, err
}

// Certify makes the credentials of one replica of a component: a key, its
// certificate, the authority's, and the keys for service tokens of an epoch
// and of those beside it, so that a neighbour whose credentials are a little
// older or newer is understood. They are for the replica's own file.
func (a *Authority) Certify(component, replica string, epoch int64, now time.Time, life time.Duration) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", replica, err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: replica},
		NotBefore:    now.Add(-time.Minute), // clocks differ
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{identity(component)},
		DNSNames:     []string{serverName(component)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", replica, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", replica, err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: der})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: private})...)
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: a.cert.Raw})...)
	for caller, callees := range mayCall {
		for _, callee := range callees {
			if caller != component && callee != component {
				continue
			}
			for e := epoch - 1; e <= epoch+1; e++ {
				out = append(out, pem.EncodeToMemory(&pem.Block{
					Type: blockTokenKey,
					Headers: map[string]string{
						"Caller": caller, "Callee": callee, "Epoch": strconv.FormatInt(e, 10), "Current": strconv.FormatBool(e == epoch),
					},
					Bytes: a.tokenKey(caller, callee, e),
				})...)
			}
		}
	}
	return out, nil
}

func (a *Authority) tokenKey(caller, callee string, epoch int64) []byte {
	mac := hmac.New(sha256.New, a.secret[:])
	fmt.Fprintf(mac, "%s\x00%s\x00%d", caller, callee, epoch)
	return mac.Sum(nil)
}
