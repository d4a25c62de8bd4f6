package protocol

// trimmedAddrs is how many addresses of a peer remain in an answer above
// AnswerTarget (wire.md §22.1).
const trimmedAddrs = 4

// Trim cuts an answer to what every stack reads. Above AnswerTarget each peer
// keeps its best 4 addresses, unless it is the only one of the answer; then
// providers are dropped from the tail, if that is enough to reach the target.
// Above MaxAnswer providers go first, then closer peers, from the tail, until
// one peer is left. A carried Record is not counted and never cut
// (wire.md §22.1).
func Trim(m *Message) {
	size := m.sizeWithoutRecord()
	if size <= AnswerTarget {
		return
	}
	if len(m.CloserPeers)+len(m.ProviderPeers) > 1 {
		cutAddrs(m.CloserPeers)
		cutAddrs(m.ProviderPeers)
		size = m.sizeWithoutRecord()
	}
	if size-peersSize(m.ProviderPeers) <= AnswerTarget {
		m.ProviderPeers, size = dropTail(m.ProviderPeers, 0, size, AnswerTarget)
	}
	least := 1
	if len(m.CloserPeers) > 0 {
		least = 0
	}
	m.ProviderPeers, size = dropTail(m.ProviderPeers, least, size, MaxAnswer)
	m.CloserPeers, _ = dropTail(m.CloserPeers, 1, size, MaxAnswer)
}

func (m *Message) sizeWithoutRecord() int64 {
	n := m.size()
	if m.HasRecord {
		n -= sizeField(m.Record.size())
	}
	return n
}

func cutAddrs(list []Peer) {
	for i := range list {
		list[i].cut(trimmedAddrs)
	}
}

// dropTail drops peers from the tail of list while size is above limit and more
// than least are left. It returns what is left and its size.
func dropTail(list []Peer, least int, size, limit int64) ([]Peer, int64) {
	for size > limit && len(list) > least {
		size -= list[len(list)-1].fieldSize()
		list = list[:len(list)-1]
	}
	return list, size
}
