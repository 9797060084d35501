package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// The blocks of a credentials file.
const (
	blockCertificate = "CERTIFICATE"
	blockKey         = "PRIVATE KEY"
	blockTokenKey    = "SERVICE TOKEN KEY"
)

// credentials are what one replica proves with who it is.
type credentials struct {
	component string
	leaf      tls.Certificate
	roots     *x509.CertPool
	signers   map[string]signer // by callee
	checkers  map[string]pair   // by the head of the token
}

// pair is a caller and a callee with a key for service tokens between them.
type pair struct {
	caller, callee string
	key            []byte
}

var errNoIdentity = errors.New("the certificate names no component")

// parseCredentials reads what Certify made, as the one that it is for.
func parseCredentials(text []byte) (*credentials, error) {
	c := &credentials{roots: x509.NewCertPool(), signers: map[string]signer{}, checkers: map[string]pair{}}
	var certificates [][]byte
	var pairs []*pem.Block
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		switch b.Type {
		case blockCertificate:
			certificates = append(certificates, b.Bytes)
		case blockKey:
			key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("key: %w", err)
			}
			c.leaf.PrivateKey = key
		case blockTokenKey:
			pairs = append(pairs, b)
		}
	}
	if len(certificates) != 2 || c.leaf.PrivateKey == nil {
		return nil, errors.New("want a certificate, its key, and the certificate of the authority")
	}
	root, err := x509.ParseCertificate(certificates[1])
	if err != nil {
		return nil, fmt.Errorf("certificate of the authority: %w", err)
	}
	c.roots.AddCert(root)
	c.leaf.Certificate = certificates[:1]
	if c.leaf.Leaf, err = x509.ParseCertificate(certificates[0]); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if c.component, err = componentOf(c.leaf.Leaf); err != nil {
		return nil, err
	}
	for _, b := range pairs {
		p := pair{b.Headers["Caller"], b.Headers["Callee"], b.Bytes}
		head := tokenHead(p.caller, p.callee, b.Headers["Epoch"])
		if p.callee == c.component {
			c.checkers[head] = p
		}
		if p.caller == c.component && b.Headers["Current"] == "true" {
			c.signers[p.callee] = newSigner(head, p)
		}
	}
	return c, nil
}

// componentOf is who a certificate of ours is for.
func componentOf(cert *x509.Certificate) (string, error) {
	if len(cert.URIs) != 1 {
		return "", errNoIdentity
	}
	uri := cert.URIs[0]
	if uri.Scheme != "spiffe" || uri.Host != trustDomain || len(uri.Path) < 2 {
		return "", fmt.Errorf("%w: %s", errNoIdentity, uri)
	}
	return uri.Path[1:], nil
}

// allowed says whether caller is on the list of those who may call callee.
func allowed(caller, callee string) bool { return slices.Contains(mayCall[caller], callee) }
