package protocol

import (
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxGroups is how deep groups of unknown fields may nest. No known sender
// nests any; 100 is what most protobuf decoders allow.
const maxGroups = 100

// Why bytes are not a field, as negative lengths beside protowire's own.
const (
	codeNumber = -100 - iota // field number above 2^29-1
	codeNested               // more than maxGroups groups within each other
	codeUTF8                 // text that is not UTF-8
)

// reason says what a negative length means.
func reason(code int) string {
	switch code {
	case codeNumber:
		return "field number above 2^29-1"
	case codeNested:
		return "groups nested too deep"
	case codeUTF8:
		return "text is not UTF-8"
	}
	err := protowire.ParseError(code)
	if err == io.ErrUnexpectedEOF { // which is no end of a stream here
		return "cut short"
	}
	return err.Error()
}

// consumeTag reads a tag, field number << 3 | wire type, and its length in b,
// or a negative length. Over-long varints are legal here (unlike in the length
// prefix of a frame).
func consumeTag(b []byte) (tag uint32, n int) {
	if len(b) > 0 && b[0] < 0x80 && b[0] >= 8 {
		return uint32(b[0]), 1
	}
	return consumeLongTag(b)
}

func consumeLongTag(b []byte) (tag uint32, n int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, n
	}
	if num > protowire.MaxValidNumber {
		return 0, codeNumber
	}
	return uint32(num)<<3 | uint32(typ), n
}

// consumeBytes reads a length and that many bytes, whose room ends with them.
func consumeBytes(b []byte) (v []byte, n int) {
	if len(b) > 0 && b[0] < 0x80 && int(b[0]) < len(b) {
		n = 1 + int(b[0])
		return b[1:n:n], n
	}
	v, n = protowire.ConsumeBytes(b)
	return v[:len(v):len(v)], n
}

// consumeInt32 reads a varint and cuts it to 32 bits, as proto3 has it.
func consumeInt32(b []byte) (v int32, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return int32(b[0]), 1
	}
	u, n := protowire.ConsumeVarint(b)
	return int32(uint32(u)), n
}

// consumeValue skips the value that follows tag.
func consumeValue(tag uint32, b []byte) (n int) {
	if protowire.Type(tag&7) == protowire.StartGroupType {
		return consumeGroup(tag, b)
	}
	return protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), b)
}

// consumeGroup skips what follows the start tag of a group, its end included.
// It keeps a stack of its own, for hostile nesting must not grow the
// goroutine's.
func consumeGroup(start uint32, b []byte) (n int) {
	var open [maxGroups]uint32
	open[0] = start
	for depth := 1; depth > 0; {
		tag, k := consumeTag(b[n:])
		if k < 0 {
			return k
		}
		n += k
		switch {
		case protowire.Type(tag&7) == protowire.StartGroupType:
			if depth == maxGroups {
				return codeNested
			}
			open[depth] = tag
			depth++
		case protowire.Type(tag&7) == protowire.EndGroupType && tag>>3 == open[depth-1]>>3:
			depth--
		default: // an end of another group is refused with the rest
			if k = consumeValue(tag, b[n:]); k < 0 {
				return k
			}
			n += k
		}
	}
	return n
}

// run is a stretch of unknown fields that lie side by side in b. As long as
// there is one stretch only, what is kept of it is borrowed.
type run struct {
	from, to int
	borrowed bool
}

// add adds b[from:to] to the unknown fields kept so far.
func (r *run) add(kept, b []byte, from, to int) []byte {
	switch {
	case len(kept) == 0:
		*r = run{from, to, true}
		return b[from:to:to]
	case r.borrowed && r.to == from:
		r.to = to
		return b[r.from:to:to]
	default:
		r.borrowed = false
		return append(kept, b[from:to]...)
	}
}
