package protocol

import (
	"fmt"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The members of each object, in the order of the constants below them.
var (
	messageNames = []string{"type", "key", "record", "closerPeers", "providerPeers", "clusterLevel", "unknown"}
	recordNames  = []string{"key", "value", "timeReceived", "unknown"}
	peerNames    = []string{"id", "addrs", "connection", "unknown"}
	formNames    = []string{"base64", "multihash"}
)

// jsonReader fills m from a scanner.
type jsonReader struct {
	scanner
	m *Message
}

// Decode reads the message that is exactly b, as Codec has it. It is strict, as
// JSON says, and keeps no more peers and addresses than protobuf's Decode.
func (jsonCodec) Decode(b []byte, m *Message) error {
	m.Reset()
	if len(b) > MaxFrame {
		return fmt.Errorf("protocol: decode json: %d bytes, at most %d: %w: %w", len(b), MaxFrame, ErrMalformed, ErrTooLarge)
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("protocol: decode json: not UTF-8: %w", ErrMalformed)
	}
	r := jsonReader{scanner{b: b, text: m.text}, m}
	r.message()
	r.end()
	m.text = r.text
	return r.err
}

func (r *jsonReader) message() {
	m, seen := r.m, uint(0)
	r.open('{')
	for first := true; r.more('}', first); first = false {
		switch r.name(messageNames, &seen) {
		case 0:
			m.Type = Type(r.enum(typeNames[:]))
		case 1:
			m.Key = r.form()
		case 2:
			m.HasRecord = true
			r.record()
		case 3:
			m.CloserPeers = r.peers(m.CloserPeers, m.Bounds.Closer, len(m.ProviderPeers))
		case 4:
			m.ProviderPeers = r.peers(m.ProviderPeers, m.Bounds.Providers, len(m.CloserPeers))
		case 5:
			m.ClusterLevel = r.int32()
		case 6:
			m.Unknown = r.unknown(messageTags[:])
		}
	}
}

func (r *jsonReader) record() {
	rec, seen := &r.m.Record, uint(0)
	r.open('{')
	for first := true; r.more('}', first); first = false {
		switch r.name(recordNames, &seen) {
		case 0:
			rec.Key = r.form()
		case 1:
			rec.Value = r.form()
		case 2:
			rec.TimeReceived = r.str()
		case 3:
			rec.Unknown = r.unknown(recordTags[:])
		}
	}
}

// peers takes a list of peers with that bound; there are others in the message.
func (r *jsonReader) peers(list []Peer, bound, others int) []Peer {
	room := within(bound, peerRoom(len(r.b)))
	r.open('[')
	for first := true; r.more(']', first); first = false {
		addrs, text := len(r.m.addrs), len(r.text)
		p := r.peer()
		if len(list) >= room || len(list)+others >= peerRoom(len(r.b)) {
			r.m.addrs, r.text = r.m.addrs[:addrs], r.text[:text]
			continue
		}
		list = append(grow(list, min(len(r.b)/minPeerSize+1, firstPeers), room), p)
	}
	return list
}

func (r *jsonReader) peer() (p Peer) {
	seen := uint(0)
	r.open('{')
	for first := true; r.more('}', first); first = false {
		switch r.name(peerNames, &seen) {
		case 0:
			p.ID = r.id()
		case 1:
			p.Addrs = r.addrs()
		case 2:
			p.Connection = Connection(r.enum(connectionNames[:]))
		case 3:
			p.Unknown = r.unknown(peerTags[:])
		}
	}
	return p
}

func (r *jsonReader) addrs() [][]byte {
	from := len(r.m.addrs)
	r.open('[')
	for first := true; r.more(']', first); first = false {
		text := len(r.text)
		if addr := r.addr(); !r.m.addAddr(addr, from, len(r.b)) {
			r.text = r.text[:text]
		}
	}
	to := len(r.m.addrs)
	return r.m.addrs[from:to:to]
}

// id takes a peer id as text or as bytes.
func (r *jsonReader) id() []byte {
	if r.peek() == '"' {
		return r.multihash()
	}
	return r.form()
}

// addr takes an address as a multiaddr or as bytes.
func (r *jsonReader) addr() []byte {
	if r.peek() != '"' {
		return r.form()
	}
	text := r.str()
	first := len(r.text)
	room, err := parseAddrText(r.text, string(text))
	if err != nil {
		r.fail("%v", err)
		return nil
	}
	r.text = room
	return room[first:len(room):len(room)]
}

// form takes bytes in any form.
func (r *jsonReader) form() (v []byte) {
	if r.peek() == '"' {
		return r.str()
	}
	seen := uint(0)
	r.open('{')
	if !r.more('}', true) {
		r.fail("bytes without a form")
		return nil
	}
	switch r.name(formNames, &seen) {
	case 0:
		v = r.base64()
	case 1:
		v = r.multihash()
	}
	r.open('}')
	return v
}

// multihash takes a multihash in base58 or as a CID of a peer.
func (r *jsonReader) multihash() []byte {
	text := r.str()
	if len(text) > maxMultihashText {
		r.fail("a peer id of %d characters, at most %d", len(text), maxMultihashText)
		return nil
	}
	id, err := peer.Decode(string(text))
	if err != nil {
		r.fail("%v", err)
		return nil
	}
	return r.keep(id)
}

// unknown takes unknown fields of a level with the given known ones.
func (r *jsonReader) unknown(known []uint32) []byte {
	v := r.base64()
	if !allUnknown(v, known) {
		r.fail("these are not unknown fields")
	}
	return v
}

// keep copies id into the message's own room.
func (r *jsonReader) keep(id peer.ID) []byte {
	first := len(r.text)
	r.text = append(r.text, id...)
	return r.text[first:len(r.text):len(r.text)]
}

// Type finds the message's type as Codec has it; nothing is allocated. It is
// soonest found in front, where Append puts it.
func (jsonCodec) Type(b []byte) (Type, error) {
	s := scanner{b: b}
	s.open('{')
	for first := true; s.more('}', first); first = false {
		if string(s.rawName()) == messageNames[0] {
			t := s.enum(typeNames[:])
			return Type(t), s.err
		}
		s.skip()
	}
	return PutValue, s.err
}
