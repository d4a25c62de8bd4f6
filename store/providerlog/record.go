package providerlog

import (
	"encoding/binary"
	"errors"

	"github.com/kdht/kdht/protocol"
)

// Kinds of payload: the first byte of each.
const (
	kindProvider = 1 // number, id, seen, addresses: what the number stands for in this segment
	kindAdd      = 2 // number, added, standing, key
	kindAddAddrs = 3 // the same, and the provider told the addresses it is known by
	kindRemove   = 4 // at, id, key
	kindMark     = 5 // tick, wall, uptime, boot
)

// standingUnit is what the time between a record's first and its latest
// announcement is rounded down to, in seconds.
const standingUnit = 64

var errForm = errors.New("providerlog: a payload that no version writes")

// add is one announcement as it is logged.
type add struct {
	number       uint32 // of the provider, in this segment
	added, first uint32
	told         bool // with addresses
	key          []byte
}

func (a *add) append(b []byte) []byte {
	kind := byte(kindAdd)
	if a.told {
		kind = kindAddAddrs
	}
	b = binary.AppendUvarint(append(b, kind), uint64(a.number))
	b = binary.LittleEndian.AppendUint32(b, a.added)
	b = binary.AppendUvarint(b, uint64(a.added-a.first)/standingUnit)
	return append(b, a.key...)
}

// parseAdd reads an add, whose key is part of b.
func parseAdd(b []byte) (a add, err error) {
	r := reader{b: b}
	a.told = r.byte() == kindAddAddrs
	a.number = r.uvarint32()
	a.added = r.uint32()
	standing := uint64(r.uvarint32()) * standingUnit
	a.key = r.b
	if r.bad || standing > uint64(a.added) || len(a.key) == 0 || len(a.key) > protocol.MaxProviderKey {
		return a, errForm
	}
	a.first = a.added - uint32(standing)
	return a, nil
}

// appendProvider appends what number stands for from here on.
func appendProvider(b []byte, number, seen uint32, p *protocol.Peer) []byte {
	b = binary.AppendUvarint(append(b, kindProvider), uint64(number))
	b = appendBytes(b, p.ID)
	b = binary.LittleEndian.AppendUint32(b, seen)
	b = binary.AppendUvarint(b, uint64(len(p.Addrs)))
	for _, addr := range p.Addrs {
		b = appendBytes(b, addr)
	}
	return b
}

// parseProvider reads a provider, which owns its bytes.
func parseProvider(b []byte) (number, seen uint32, p *protocol.Peer, err error) {
	r := reader{b: append([]byte(nil), b[1:]...)}
	number = r.uvarint32()
	p = &protocol.Peer{ID: r.bytes()}
	seen = r.uint32()
	n := r.uvarint32()
	if r.bad || n > protocol.MaxAddrs {
		return 0, 0, nil, errForm
	}
	for range n {
		p.Addrs = append(p.Addrs, r.bytes())
	}
	if r.bad || len(r.b) > 0 || len(p.ID) == 0 {
		return 0, 0, nil, errForm
	}
	return number, seen, p, nil
}

func appendRemove(b []byte, at uint32, key, id []byte) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, kindRemove), at)
	return append(appendBytes(b, id), key...)
}

// parseRemove reads a removal; id and key are part of b.
func parseRemove(b []byte) (at uint32, key, id []byte, err error) {
	r := reader{b: b[1:]}
	at = r.uint32()
	id = r.bytes()
	if r.bad || len(r.b) == 0 || len(r.b) > protocol.MaxProviderKey {
		return 0, nil, nil, errForm
	}
	return at, r.b, id, nil
}

func (m *mark) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, kindMark), m.tick)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.wall))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.up))
	return append(b, m.boot...)
}

func parseMark(b []byte) (m mark, err error) {
	r := reader{b: b[1:]}
	m.tick = r.uint32()
	m.wall = int64(r.uint64())
	m.up = int64(r.uint64())
	m.boot = string(r.b)
	if r.bad || len(m.boot) > maxBoot {
		return mark{}, errForm
	}
	return m, nil
}

// tickOf returns when a payload says something was, 0 if it says nothing of the kind.
func tickOf(b []byte) uint32 {
	switch b[0] {
	case kindAdd, kindAddAddrs:
		r := reader{b: b[1:]}
		r.uvarint32()
		return r.uint32()
	case kindRemove, kindMark:
		r := reader{b: b[1:]}
		return r.uint32()
	}
	return 0
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// reader takes a payload apart; bad tells that it was too short somewhere.
type reader struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, nil if there are fewer.
func (r *reader) take(n uint64) []byte {
	if uint64(len(r.b)) < n {
		r.b, r.bad = nil, true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (r *reader) uvarint32() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32-1 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

func (r *reader) bytes() []byte { return r.take(uint64(r.uvarint32())) }
