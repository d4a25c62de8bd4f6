package protocol

import "slices"

// maxConnectionSize is what the connection of a peer takes at most: a tag and
// a varint of ten bytes.
const maxConnectionSize = 11

// fit returns how many addresses of p fit with its id within MaxPeerSize, room
// for any connection left, and the size of both in protobuf form. The id is
// always kept.
func (p *Peer) fit() (n int, size int64) {
	if p.encoded != nil {
		return len(p.Addrs), int64(len(p.encoded))
	}
	size = sizeBytes(p.ID)
	for _, addr := range p.Addrs {
		with := size + sizeField(int64(len(addr)))
		if with > MaxPeerSize-maxConnectionSize {
			break
		}
		size = with
		n++
	}
	return n, size
}

// Precode makes the encoded form of p's ID and Addrs, once, so that every
// answer that names p copies it. Addresses beyond MaxPeerSize are dropped from
// p. Neither ID nor Addrs may change afterwards; Connection may.
func (p *Peer) Precode() {
	p.encoded = nil
	n, size := p.fit()
	p.Addrs = p.Addrs[:n:n]
	p.encoded = p.appendContact(make([]byte, 0, size), n)
}

// cut keeps the first n addresses of p.
func (p *Peer) cut(n int) {
	if len(p.Addrs) <= n {
		return
	}
	p.Addrs = p.Addrs[:n:n]
	if p.encoded == nil {
		return
	}
	size := sizeBytes(p.ID)
	for _, addr := range p.Addrs {
		size += sizeField(int64(len(addr)))
	}
	p.encoded = p.encoded[:size:size]
}

// Clone returns a deep copy of p that owns its bytes. A precoded peer's copy is
// precoded.
func (p *Peer) Clone() Peer {
	n := len(p.ID) + len(p.Unknown)
	for _, addr := range p.Addrs {
		n += len(addr)
	}
	c := Peer{Connection: p.Connection, encoded: p.encoded}
	buf := make([]byte, 0, n)
	c.ID, buf = take(buf, p.ID)
	c.Unknown, buf = take(buf, p.Unknown)
	if len(p.Addrs) > 0 {
		c.Addrs = make([][]byte, len(p.Addrs))
	}
	for i, addr := range p.Addrs {
		c.Addrs[i], buf = take(buf, addr)
	}
	return c
}

// take appends v to buf and returns its copy there, which has no room to grow.
func take(buf, v []byte) (copied, rest []byte) {
	n := len(buf)
	buf = append(buf, v...)
	return buf[n:len(buf):len(buf)], buf
}

// Clone returns a deep copy of r that owns its bytes.
func (r *Record) Clone() Record {
	return Record{
		Key:          slices.Clone(r.Key),
		Value:        slices.Clone(r.Value),
		TimeReceived: slices.Clone(r.TimeReceived),
		Unknown:      slices.Clone(r.Unknown),
	}
}
