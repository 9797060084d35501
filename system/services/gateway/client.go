package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// proxies are the networks whose word about a client is believed.
type proxies []netip.Prefix

func (p proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// client names who sent r: the peer, or, where the peer is a trusted proxy,
// the last hop of X-Forwarded-For that is not one. A hop that is no address
// ends the search at the proxy that reported it, so that nobody gets a fresh
// share of the rate limit by writing nonsense.
func (p proxies) client(r *http.Request) (peer, client netip.Addr) {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, netip.Addr{} // not TCP: all such peers are one client
	}
	peer = plain(addr.Addr())
	client = peer
	hops := r.Header["X-Forwarded-For"]
	for i := len(hops) - 1; i >= 0; i-- {
		rest := hops[i]
		for {
			if !p.trust(client) {
				return peer, client
			}
			comma := strings.LastIndexByte(rest, ',')
			hop, err := parseHop(rest[comma+1:])
			if err != nil {
				return peer, client
			}
			client = hop
			if comma < 0 {
				break
			}
			rest = rest[:comma]
		}
	}
	return peer, client
}

// parseHop reads one hop; some proxies append the port.
func parseHop(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	addr, err := netip.ParseAddr(s)
	if err != nil {
		ap, portErr := netip.ParseAddrPort(s)
		if portErr != nil {
			return netip.Addr{}, err
		}
		addr = ap.Addr()
	}
	return plain(addr), nil
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// share names the client for the rate limit. An IPv6 client owns a whole /64,
// so the network is limited and not the one address it happens to use.
func share(client netip.Addr) string {
	if client.Is6() {
		if p, err := client.Prefix(64); err == nil {
			return p.String()
		}
	}
	return client.String()
}

// believes tells whether the sender of r may say which trace it belongs to:
// what a stranger claims would join his traces to ours.
func (g *gateway) believes(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && g.proxies.trust(plain(peer.Addr()))
}
