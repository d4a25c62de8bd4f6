package kademlia

// deadline is when the request with this id has waited for long enough.
type deadline struct {
	at instant
	id RequestID
}

func (d deadline) before(o deadline) bool { return d.at < o.at || d.at == o.at && d.id < o.id }

// deadlines is a heap: d[0] is the earliest. Equal times come in the order of ids.
type deadlines []deadline

func (d *deadlines) push(x deadline) {
	h := append(*d, x)
	i := len(h) - 1
	for ; i > 0; i = (i - 1) / 2 {
		parent := (i - 1) / 2
		if !x.before(h[parent]) {
			break
		}
		h[i] = h[parent]
	}
	h[i] = x
	*d = h
}

// pop takes out the earliest; there must be one.
func (d *deadlines) pop() {
	h := *d
	n := len(h) - 1
	last := h[n]
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last // of n == 0 too: it is cut off
	*d = h[:n]
}
