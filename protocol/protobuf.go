package protocol

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Protobuf is the format deployed peers speak (wire.md §3, kad.proto).
var Protobuf Codec = protobufCodec{}

type protobufCodec struct{}

// Name is "protobuf".
func (protobufCodec) Name() string { return "protobuf" }

// The two wire types that known fields have.
const (
	wireVarint = 0
	wireBytes  = 2
)

// Tags of the known fields: number << 3 | wire type (wire.md §3). All of them
// fit in a byte.
const (
	tagType     = 1<<3 | wireVarint
	tagKey      = 2<<3 | wireBytes
	tagRecord   = 3<<3 | wireBytes
	tagCloser   = 8<<3 | wireBytes
	tagProvider = 9<<3 | wireBytes
	tagLevel    = 10<<3 | wireVarint

	tagRecordKey   = 1<<3 | wireBytes
	tagRecordValue = 2<<3 | wireBytes
	tagRecordTime  = 5<<3 | wireBytes

	tagPeerID         = 1<<3 | wireBytes
	tagPeerAddr       = 2<<3 | wireBytes
	tagPeerConnection = 3<<3 | wireVarint
)

// Append appends m in protobuf form: known fields in ascending order, defaults
// left out, unknown fields last. Of a peer beyond MaxPeerSize the addresses at
// the tail are left out. A message beyond MaxFrame is ErrTooLarge, a
// TimeReceived that is not UTF-8 is ErrMalformed; b is then returned as it was.
func (protobufCodec) Append(b []byte, m *Message) ([]byte, error) {
	size := m.size()
	if size > MaxFrame {
		return b, fmt.Errorf("protocol: encode protobuf: %d bytes, at most %d: %w", size, MaxFrame, ErrTooLarge)
	}
	if !utf8.Valid(m.Record.TimeReceived) {
		return b, fmt.Errorf("protocol: encode protobuf: timeReceived is not UTF-8: %w", ErrMalformed)
	}
	b = slices.Grow(b, int(size))
	b = appendInt32(b, tagType, int32(m.Type))
	b = appendBytes(b, tagKey, m.Key)
	if m.HasRecord {
		b = appendLength(b, tagRecord, m.Record.size())
		b = m.Record.append(b)
	}
	for i := range m.CloserPeers {
		b = m.CloserPeers[i].append(b, tagCloser)
	}
	for i := range m.ProviderPeers {
		b = m.ProviderPeers[i].append(b, tagProvider)
	}
	b = appendInt32(b, tagLevel, m.ClusterLevel)
	return append(b, m.Unknown...), nil
}

func (r *Record) append(b []byte) []byte {
	b = appendBytes(b, tagRecordKey, r.Key)
	b = appendBytes(b, tagRecordValue, r.Value)
	b = appendBytes(b, tagRecordTime, r.TimeReceived)
	return append(b, r.Unknown...)
}

func (p *Peer) append(b []byte, tag byte) []byte {
	n, size := p.fit()
	size += sizeInt32(int32(p.Connection)) + int64(len(p.Unknown))
	b = appendLength(b, tag, size)
	b = p.appendContact(b, n)
	b = appendInt32(b, tagPeerConnection, int32(p.Connection))
	return append(b, p.Unknown...)
}

// appendContact appends the fields 1 and 2 of p with its first n addresses.
func (p *Peer) appendContact(b []byte, n int) []byte {
	if p.encoded != nil {
		return append(b, p.encoded...)
	}
	b = appendBytes(b, tagPeerID, p.ID)
	for _, addr := range p.Addrs[:n] {
		b = appendLength(b, tagPeerAddr, int64(len(addr)))
		b = append(b, addr...)
	}
	return b
}

// appendInt32 appends a field unless it is 0, the default. Negative numbers
// take ten bytes, as if they were 64 bits wide.
func appendInt32(b []byte, tag byte, v int32) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(append(b, tag), uint64(int64(v)))
}

// appendBytes appends a field unless it is empty, the default.
func appendBytes(b []byte, tag byte, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return append(appendLength(b, tag, int64(len(v))), v...)
}

// appendLength appends what precedes n bytes of a field.
func appendLength(b []byte, tag byte, n int64) []byte {
	if n < 0x80 {
		return append(b, tag, byte(n))
	}
	return protowire.AppendVarint(append(b, tag), uint64(n))
}

// Size returns the length in bytes of m in protobuf form.
func Size(m *Message) int { return int(min(m.size(), math.MaxInt)) }

// size is Size in 64 bits: what a message repeats may add up to more than the
// memory that holds it.
func (m *Message) size() int64 {
	n := sizeInt32(int32(m.Type)) + sizeBytes(m.Key) + sizeInt32(m.ClusterLevel) + int64(len(m.Unknown))
	if m.HasRecord {
		n += sizeField(m.Record.size())
	}
	return n + peersSize(m.CloserPeers) + peersSize(m.ProviderPeers)
}

func peersSize(list []Peer) (n int64) {
	for i := range list {
		n += list[i].fieldSize()
	}
	return n
}

func (r *Record) size() int64 {
	return sizeBytes(r.Key) + sizeBytes(r.Value) + sizeBytes(r.TimeReceived) + int64(len(r.Unknown))
}

// fieldSize is the size of p as a field of a message.
func (p *Peer) fieldSize() int64 {
	_, n := p.fit()
	return sizeField(n + sizeInt32(int32(p.Connection)) + int64(len(p.Unknown)))
}

// sizeInt32, sizeBytes and sizeField are the sizes of what the append functions
// append; sizeField counts tag and length of n bytes that are there, even if
// n is 0.
func sizeInt32(v int32) int64 {
	if v == 0 {
		return 0
	}
	return int64(1 + protowire.SizeVarint(uint64(int64(v))))
}

func sizeBytes(v []byte) int64 {
	if len(v) == 0 {
		return 0
	}
	return sizeField(int64(len(v)))
}

func sizeField(n int64) int64 {
	if n < 0x80 {
		return 2 + n
	}
	return int64(1+protowire.SizeVarint(uint64(n))) + n
}
