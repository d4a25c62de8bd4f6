package keyspace

// Region returns the first and the last of the keys that share their leading n bits
// with k: a region of the keyspace is a range of its keys. n is in 0..Bits; with 0 that
// is all of them.
func (k Key) Region(n int) (first, last Key) {
	first, last = k, k
	for i := range first {
		var free byte // bits of this byte beyond the leading n
		switch bits := n - i*8; {
		case bits <= 0:
			free = 0xff
		case bits < 8:
			free = 0xff >> bits
		}
		first[i] &^= free
		last[i] |= free
	}
	return first, last
}

// Next makes k the key that follows it, and reports whether there is one: after the last
// of all comes the first.
func (k *Key) Next() bool {
	for i := len(k) - 1; i >= 0; i-- {
		k[i]++
		if k[i] != 0 {
			return true
		}
	}
	return false
}
