package loadgen

import "math/rand/v2"

// newRand is a generator whose draws depend on the words only, and on all of
// them: neighbouring seeds give unrelated draws.
func newRand(words ...uint64) *rand.Rand {
	var hi, lo uint64
	for _, w := range words {
		hi = mix(hi ^ w)
		lo = mix(lo + hi)
	}
	return rand.New(rand.NewPCG(hi, lo))
}

// mix is the finaliser of SplitMix64, a bijection.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
