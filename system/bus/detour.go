package bus

import "strings"

// A broker tells its clients under which address to come back, so a client
// that is to go through something else on its way has to be told both: the
// address that the broker gives itself, and the one to dial for it.

// Detour is the address of a broker that is reached by way of another.
func Detour(advertised, dialled string) string { return advertised + "=" + dialled }

// Advertised are the addresses that brokers give themselves.
func Advertised(brokers []string) []string {
	addrs := make([]string, len(brokers))
	for i, b := range brokers {
		addrs[i], _, _ = strings.Cut(b, "=")
	}
	return addrs
}

// detours says what to dial instead of an address.
func detours(brokers []string) map[string]string {
	instead := map[string]string{}
	for _, b := range brokers {
		if advertised, dialled, ok := strings.Cut(b, "="); ok {
			instead[advertised] = dialled
		}
	}
	return instead
}
