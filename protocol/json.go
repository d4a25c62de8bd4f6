package protocol

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// JSON is the format for people: one object on one line, written by any HTTP
// tool and read by eye. It says exactly what the protobuf form says, so that a
// message goes from one to the other and back without loss.
//
//	{"type":"FIND_NODE","key":{"multihash":"12D3KooW…"},"clusterLevel":1}
//	{"type":"GET_VALUE","key":"/v/hello","record":{"key":"/v/hello","value":"hi",
//	 "timeReceived":"2026-11-22T14:58:37Z"},"closerPeers":[{"id":"12D3KooW…",
//	 "addrs":["/ip4/192.0.2.7/tcp/4001"],"connection":"CONNECTED"}],"clusterLevel":1}
//
// Type and connection are names, or numbers where there is no name; a missing
// type is PUT_VALUE. A peer's id is its usual text and an address is a
// multiaddr. Bytes, which keys and values are, take the first of these forms
// that gives them back exactly:
//
//	"text"                      UTF-8 of printable characters, spaces, tabs and line feeds
//	{"multihash":"12D3KooW…"}   a peer id or a provider's key, in base58
//	{"base64":"/wA="}           anything
//
// An id or address that has no text of its own is {"base64": …} too. Unknown
// fields are their protobuf form in base64: "unknown":"6gQCQUI=". What is empty
// or zero is left out, but an empty record is {}.
//
// Reading is strict: field names exactly as above and without escapes, no name
// twice, no null, no fractions, no half surrogate pairs, nothing behind the
// object. Any of the forms is read wherever bytes may stand, and a peer id may
// also be written as a CID.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

// Name is "json".
func (jsonCodec) Name() string { return "json" }

// Append appends m as one line of JSON without the line's end. Like the
// protobuf form it leaves out addresses beyond MaxPeerSize. A text beyond
// MaxFrame is ErrTooLarge, a TimeReceived that is not UTF-8 or Unknown that
// holds anything but unknown fields is ErrMalformed; b is then returned as it
// was.
func (jsonCodec) Append(b []byte, m *Message) ([]byte, error) {
	if size := m.size(); size > MaxFrame {
		return b, fmt.Errorf("protocol: encode json: %d bytes in protobuf form, at most %d: %w", size, MaxFrame, ErrTooLarge)
	}
	if !utf8.Valid(m.Record.TimeReceived) {
		return b, fmt.Errorf("protocol: encode json: timeReceived is not UTF-8: %w", ErrMalformed)
	}
	if !unknownFields(m) {
		return b, fmt.Errorf("protocol: encode json: unknown fields are not what they claim: %w", ErrMalformed)
	}
	start := len(b)
	b = append(b, `{"type":`...)
	b = appendName(b, int32(m.Type), typeNames[:])
	if len(m.Key) > 0 {
		b = appendForm(append(b, `,"key":`...), m.Key)
	}
	if m.HasRecord {
		b = m.Record.appendJSON(append(b, `,"record":`...))
	}
	b = appendPeers(b, `,"closerPeers":[`, m.CloserPeers)
	b = appendPeers(b, `,"providerPeers":[`, m.ProviderPeers)
	if m.ClusterLevel != 0 {
		b = append(b, `,"clusterLevel":`...)
		b = strconv.AppendInt(b, int64(m.ClusterLevel), 10)
	}
	b = append(appendUnknown(b, m.Unknown), '}')
	if size := len(b) - start; size > MaxFrame {
		return b[:start], fmt.Errorf("protocol: encode json: %d bytes, at most %d: %w", size, MaxFrame, ErrTooLarge)
	}
	return b, nil
}

// appendJSON appends r as an object. Every member is written with a comma
// before it; the first one's becomes the brace.
func (r *Record) appendJSON(b []byte) []byte {
	start := len(b)
	if len(r.Key) > 0 {
		b = appendForm(append(b, `,"key":`...), r.Key)
	}
	if len(r.Value) > 0 {
		b = appendForm(append(b, `,"value":`...), r.Value)
	}
	if len(r.TimeReceived) > 0 {
		b = appendText(append(b, `,"timeReceived":`...), r.TimeReceived)
	}
	return closeObject(appendUnknown(b, r.Unknown), start)
}

func appendPeers(b []byte, open string, list []Peer) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, open...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = list[i].appendJSON(b)
	}
	return append(b, ']')
}

func (p *Peer) appendJSON(b []byte) []byte {
	start := len(b)
	if len(p.ID) > 0 {
		b = appendID(append(b, `,"id":`...), p.ID)
	}
	if n, _ := p.fit(); n > 0 {
		b = append(b, `,"addrs":[`...)
		for i, addr := range p.Addrs[:n] {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAddr(b, addr)
		}
		b = append(b, ']')
	}
	if p.Connection != NotConnected {
		b = append(b, `,"connection":`...)
		b = appendName(b, int32(p.Connection), connectionNames[:])
	}
	return closeObject(appendUnknown(b, p.Unknown), start)
}

// closeObject ends the object whose members were appended from start on.
func closeObject(b []byte, start int) []byte {
	if len(b) == start {
		return append(b, '{', '}')
	}
	b[start] = '{'
	return append(b, '}')
}

func appendName(b []byte, v int32, names []string) []byte {
	if v < 0 || int(v) >= len(names) {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return append(append(append(b, '"'), names[v]...), '"')
}

func appendUnknown(b, unknown []byte) []byte {
	if len(unknown) == 0 {
		return b
	}
	b = append(b, `,"unknown":"`...)
	return append(base64.StdEncoding.AppendEncode(b, unknown), '"')
}
