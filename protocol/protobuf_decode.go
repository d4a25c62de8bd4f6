package protocol

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Decode reads the message that is exactly b, as Codec has it, by the rules of
// proto3: the last of a repeated scalar wins, repeated records are merged, a
// known number with a foreign wire type is an unknown field, enum values out of
// range are kept, integers are cut to 32 bits.
//
// Peers beyond MaxPeers, or beyond what a frame of that length can honestly
// hold, are checked but not kept, and so are addresses: what a decoded message
// occupies is bounded by a small multiple of len(b).
func (protobufCodec) Decode(b []byte, m *Message) error {
	m.Reset()
	if len(b) > MaxFrame {
		return fmt.Errorf("protocol: decode protobuf: %d bytes, at most %d: %w: %w", len(b), MaxFrame, ErrMalformed, ErrTooLarge)
	}
	var unknown run
	for i := 0; i < len(b); {
		tag, n := consumeTag(b[i:])
		if n < 0 {
			return fieldError(tag, i, n)
		}
		v := b[i+n:]
		k := m.decodeField(tag, v, len(b))
		if k == codeUnknown {
			if k = consumeValue(tag, v); k >= 0 {
				m.Unknown = unknown.add(m.Unknown, b, i, i+n+k)
			}
		}
		if k < 0 {
			return fieldError(tag, i, k)
		}
		i += n + k
	}
	return nil
}

// codeUnknown means that a field has no meaning here and nothing was read.
const codeUnknown = -200

// decodeField reads the value of one field of a message of size bytes and
// returns its length.
func (m *Message) decodeField(tag uint32, b []byte, size int) (n int) {
	var v []byte
	code := 0
	switch tag {
	case tagType:
		var t int32
		t, n = consumeInt32(b)
		m.Type = Type(t)
	case tagKey:
		m.Key, n = consumeBytes(b)
	case tagRecord:
		if v, n = consumeBytes(b); n >= 0 {
			m.HasRecord = true
			code = m.Record.decode(v)
		}
	case tagCloser:
		if v, n = consumeBytes(b); n >= 0 {
			m.CloserPeers, code = m.decodePeer(m.CloserPeers, m.Bounds.Closer, v, size)
		}
	case tagProvider:
		if v, n = consumeBytes(b); n >= 0 {
			m.ProviderPeers, code = m.decodePeer(m.ProviderPeers, m.Bounds.Providers, v, size)
		}
	case tagLevel:
		m.ClusterLevel, n = consumeInt32(b)
	default:
		return codeUnknown
	}
	if code < 0 {
		return code
	}
	return n
}

// decode merges the encoded record b into r. It returns 0, or a negative code.
func (r *Record) decode(b []byte) int {
	var unknown run
	for i := 0; i < len(b); {
		tag, n := consumeTag(b[i:])
		if n < 0 {
			return n
		}
		k := 0
		switch v := b[i+n:]; tag {
		case tagRecordKey:
			r.Key, k = consumeBytes(v)
		case tagRecordValue:
			r.Value, k = consumeBytes(v)
		case tagRecordTime:
			r.TimeReceived, k = consumeBytes(v)
			if k >= 0 && !utf8.Valid(r.TimeReceived) {
				return codeUTF8
			}
		default:
			if k = consumeValue(tag, v); k >= 0 {
				r.Unknown = unknown.add(r.Unknown, b, i, i+n+k)
			}
		}
		if k < 0 {
			return k
		}
		i += n + k
	}
	return 0
}

// decodePeer reads the encoded peer b and appends it to list, one of m's with that
// bound, unless m holds all that a message of size bytes may. It returns 0, or a
// negative code.
func (m *Message) decodePeer(list []Peer, bound int, b []byte, size int) ([]Peer, int) {
	room := peerRoom(size)
	if bound > 0 && len(list) >= bound {
		return list, 0
	}
	if len(m.CloserPeers)+len(m.ProviderPeers) >= room {
		var surplus Peer
		addrs := len(m.addrs)
		code := m.decodePeerFields(&surplus, b, size)
		m.addrs = m.addrs[:addrs]
		return list, code
	}
	// The first peer's size tells about how many are to come.
	list = append(grow(list, min(size/(len(b)+2), firstPeers), within(bound, room)), Peer{})
	return list, m.decodePeerFields(&list[len(list)-1], b, size)
}

func (m *Message) decodePeerFields(p *Peer, b []byte, size int) int {
	var unknown run
	first := len(m.addrs)
	for i := 0; i < len(b); {
		tag, n := consumeTag(b[i:])
		if n < 0 {
			return n
		}
		k := 0
		switch v := b[i+n:]; tag {
		case tagPeerID:
			p.ID, k = consumeBytes(v)
		case tagPeerAddr:
			var addr []byte
			addr, k = consumeBytes(v)
			m.addAddr(addr, first, size)
		case tagPeerConnection:
			var c int32
			c, k = consumeInt32(v)
			p.Connection = Connection(c)
		default:
			if k = consumeValue(tag, v); k >= 0 {
				p.Unknown = unknown.add(p.Unknown, b, i, i+n+k)
			}
		}
		if k < 0 {
			return k
		}
		i += n + k
	}
	if last := len(m.addrs); last > first {
		p.Addrs = m.addrs[first:last:last]
	}
	return 0
}

// addAddr adds an address of the peer whose first one is at first to the room that
// all peers of a message of size bytes share, and reports whether there was any left.
func (m *Message) addAddr(addr []byte, first, size int) bool {
	room := addrRoom(size)
	if len(m.addrs) >= min(room, first+within(m.Bounds.Addrs, room)) {
		return false
	}
	m.addrs = append(grow(m.addrs, min(size/minAddrSize+1, firstAddrs), room), addr)
	return true
}

// fieldError says what is wrong with the field whose tag starts at byte i.
func fieldError(tag uint32, i, code int) error {
	if tag == 0 {
		return fmt.Errorf("protocol: decode protobuf: tag at byte %d: %s: %w", i, reason(code), ErrMalformed)
	}
	return fmt.Errorf("protocol: decode protobuf: field %d at byte %d: %s: %w", tag>>3, i, reason(code), ErrMalformed)
}

// Type finds the message's type as Codec has it. It steps over the other fields
// without looking into them; a message of many fields costs a few nanoseconds
// each.
func (protobufCodec) Type(b []byte) (Type, error) {
	var t int32
	for i := 0; i < len(b); {
		tag, n := consumeTag(b[i:])
		if n < 0 {
			return 0, fieldError(tag, i, n)
		}
		k := 0
		switch tag {
		case tagType:
			t, k = consumeInt32(b[i+n:])
		case tagKey, tagRecord, tagCloser, tagProvider:
			_, k = protowire.ConsumeBytes(b[i+n:])
		default:
			k = consumeValue(tag, b[i+n:])
		}
		if k < 0 {
			return 0, fieldError(tag, i, k)
		}
		i += n + k
	}
	return Type(t), nil
}
