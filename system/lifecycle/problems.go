package lifecycle

import (
	"errors"
	"fmt"
	"net"
)

// Problems gathers all that is wrong with the config of a service, so that
// its Validate can name everything at once.
type Problems []error

// Need notes a problem unless ok.
func (p *Problems) Need(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

// Address notes each of addrs that is not host:port.
func (p *Problems) Address(name string, addrs ...string) {
	for _, addr := range addrs {
		_, _, err := net.SplitHostPort(addr)
		p.Need(err == nil, "%s %q is not host:port", name, addr)
	}
}

// Err is nil without problems, else all of them joined.
func (p Problems) Err() error { return errors.Join(p...) }
