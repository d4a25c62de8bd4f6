package protocol

// Reset empties m and keeps the room of its slices, unless an unusually large
// message has left more than is worth keeping. What m borrowed is let go.
func (m *Message) Reset() {
	text := m.text[:0]
	if cap(text) > keptText {
		text = nil
	}
	*m = Message{
		CloserPeers:   emptied(m.CloserPeers, keptPeers),
		ProviderPeers: emptied(m.ProviderPeers, keptPeers),
		addrs:         emptied(m.addrs, keptAddrs),
		text:          text,
		Bounds:        m.Bounds,
	}
}

// emptied returns s without its elements, or nil if it has more room than kept.
func emptied[T any](s []T, kept int) []T {
	if cap(s) > kept {
		return nil
	}
	clear(s)
	return s[:0]
}

// Echo makes m the answer that repeats req without its peers, as PING and
// PUT_VALUE are answered (wire.md §6), and without what the asker says of itself
// only. It borrows what req borrows. Plain assignment would make the two share the
// room for their next peers.
func (m *Message) Echo(req *Message) {
	m.Reset()
	m.Type, m.Key, m.ClusterLevel, m.Unknown = req.Type, req.Key, req.ClusterLevel, withoutSender(req.Unknown)
	m.Record, m.HasRecord = req.Record, req.HasRecord
}
