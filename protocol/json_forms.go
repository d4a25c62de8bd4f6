package protocol

import (
	"encoding/base64"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The longest multihash in bytes and in characters that is written and read as
// text; base58 takes time quadratic in its length.
const (
	maxMultihash     = 64
	maxMultihashText = 2 * maxMultihash
)

// appendForm appends bytes in the first form that gives them back.
func appendForm(b, v []byte) []byte {
	if printable(v) {
		return appendText(b, v)
	}
	if text := multihashText(v); text != "" {
		b = append(b, `{"multihash":"`...)
		return append(append(b, text...), '"', '}')
	}
	return appendBase64(b, v)
}

// appendID appends a peer id as its text, or as bytes.
func appendID(b, id []byte) []byte {
	if text := multihashText(id); text != "" {
		return append(append(append(b, '"'), text...), '"')
	}
	return appendBase64(b, id)
}

// appendAddr appends an address as a multiaddr, or as bytes.
func appendAddr(b, addr []byte) []byte {
	var room [128]byte
	if text, ok := appendAddrText(room[:0], addr); ok {
		return appendText(b, text)
	}
	return appendBase64(b, addr)
}

func appendBase64(b, v []byte) []byte {
	b = append(b, `{"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, v), '"', '}')
}

// printable reports whether v is text a person can read and type.
func printable(v []byte) bool {
	for len(v) > 0 {
		if c := v[0]; c < utf8.RuneSelf {
			if (c < ' ' && c != '\n' && c != '\t') || c == 0x7f {
				return false
			}
			v = v[1:]
			continue
		}
		c, n := utf8.DecodeRune(v)
		if n == 1 || !unicode.IsPrint(c) {
			return false
		}
		v = v[n:]
	}
	return true
}

// multihashText is the base58 of a multihash as peer ids are, or "" for all
// others, which have no text that would be read as a multihash.
func multihashText(v []byte) string {
	if !isPeerID(v) {
		return ""
	}
	return peer.ID(v).String()
}

// isPeerID reports whether v is a sha2-256 multihash, or an identity one that
// is not too long.
func isPeerID[T ~string | ~[]byte](v T) bool {
	if len(v) < 2 || len(v) > maxMultihash || int(v[1]) != len(v)-2 {
		return false
	}
	return v[0] == 0 || (v[0] == 0x12 && v[1] == 32)
}

const hexDigits = "0123456789abcdef"

// appendText appends valid UTF-8 as a JSON string.
func appendText(b, v []byte) []byte {
	b = append(b, '"')
	plain := 0 // start of what needs no escape
	for i, c := range v {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, v[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, v[plain:]...), '"')
}

// unknownFields reports whether all that m carries as unknown fields is such.
func unknownFields(m *Message) bool {
	if !allUnknown(m.Unknown, messageTags[:]) || !allUnknown(m.Record.Unknown, recordTags[:]) {
		return false
	}
	for _, list := range [2][]Peer{m.CloserPeers, m.ProviderPeers} {
		for i := range list {
			if !allUnknown(list[i].Unknown, peerTags[:]) {
				return false
			}
		}
	}
	return true
}

// The known fields of each level.
var (
	messageTags = [...]uint32{tagType, tagKey, tagRecord, tagCloser, tagProvider, tagLevel}
	recordTags  = [...]uint32{tagRecordKey, tagRecordValue, tagRecordTime}
	peerTags    = [...]uint32{tagPeerID, tagPeerAddr, tagPeerConnection}
)

// allUnknown reports whether b is a row of well-formed protobuf fields and none
// of them known: otherwise they would be taken for more than unknown fields
// once they are protobuf again.
func allUnknown(b []byte, known []uint32) bool {
	for len(b) > 0 {
		tag, n := consumeTag(b)
		if n < 0 {
			return false
		}
		for _, t := range known {
			if t == tag {
				return false
			}
		}
		k := consumeValue(tag, b[n:])
		if k < 0 {
			return false
		}
		b = b[n+k:]
	}
	return true
}
