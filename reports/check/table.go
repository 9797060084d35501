package check

import "math/bits"

// table maps hashes to numbers in 12 bytes a place: open addressing, linear
// probing, half to four fifths full. The zero table is empty.
type table struct {
	hashes []uint64 // 0: the place is empty
	values []uint32
	used   int
}

// at returns the value of a hash, zero where it is new. The pointer holds
// until the next call.
func (t *table) at(hash uint64) *uint32 {
	if t.used*5 >= len(t.hashes)*4 {
		t.grow()
	}
	i := t.place(hash)
	if t.hashes[i] == 0 {
		t.hashes[i] = hash
		t.used++
	}
	return &t.values[i]
}

// place finds where a hash is, or where it would be.
func (t *table) place(hash uint64) int {
	size := len(t.hashes)
	high, _ := bits.Mul64(hash, uint64(size)) // even over any size
	i := int(high)
	for t.hashes[i] != 0 && t.hashes[i] != hash {
		if i++; i == size {
			i = 0
		}
	}
	return i
}

func (t *table) grow() {
	old := *t
	size := max(1024, len(old.hashes)+len(old.hashes)/2)
	t.hashes, t.values = make([]uint64, size), make([]uint32, size)
	for i, hash := range old.hashes {
		if hash != 0 {
			at := t.place(hash)
			t.hashes[at], t.values[at] = hash, old.values[i]
		}
	}
}

// each calls fn for every value.
func (t *table) each(fn func(value uint32)) {
	for i, hash := range t.hashes {
		if hash != 0 {
			fn(t.values[i])
		}
	}
}
