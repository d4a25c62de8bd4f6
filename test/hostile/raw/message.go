package raw

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The types of messages (wire.md §3).
const (
	PutValue = iota
	GetValue
	AddProvider
	GetProviders
	FindNode
	Ping
)

// Message is what can be said. Extra is appended to the encoded message as it is.
type Message struct {
	Type              int
	Key               []byte
	Value             []byte // PutValue's record, filed under Key
	Closer, Providers []Peer
	Extra             []byte
}

// Peer is a peer as messages name it: raw bytes, sound or not.
type Peer struct {
	ID    []byte
	Addrs [][]byte
}

// Body encodes a message, without a length prefix.
func (m Message) Body() []byte {
	var b []byte
	if m.Type != 0 {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(m.Type))
	}
	if m.Key != nil {
		b = appendBytes(b, 2, m.Key)
	}
	if m.Value != nil {
		b = appendBytes(b, 3, appendBytes(appendBytes(nil, 1, m.Key), 2, m.Value))
	}
	b = appendPeers(b, 8, m.Closer)
	b = appendPeers(b, 9, m.Providers)
	b = protowire.AppendTag(b, 10, protowire.VarintType)
	return append(protowire.AppendVarint(b, 1), m.Extra...)
}

// Frame encodes a message with its length prefix.
func (m Message) Frame() []byte { return Prefixed(m.Body()) }

// Prefixed puts the length before a body.
func Prefixed(body []byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, len(body)+4), uint64(len(body))), body...)
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}

func appendPeers(b []byte, field protowire.Number, peers []Peer) []byte {
	for _, p := range peers {
		one := appendBytes(nil, 1, p.ID)
		for _, a := range p.Addrs {
			one = appendBytes(one, 2, a)
		}
		b = appendBytes(b, field, one)
	}
	return b
}

// Answer is what the clients look at in an answer.
type Answer struct {
	Type              int
	Size              int // of the whole message in bytes
	Value             []byte
	Closer, Providers []Peer
}

// Parse reads an answer.
func Parse(b []byte) (*Answer, error) {
	a := &Answer{Size: len(b)}
	err := each(b, func(field protowire.Number, number uint64, value []byte) error {
		switch field {
		case 1:
			a.Type = int(number)
		case 3:
			return each(value, func(field protowire.Number, _ uint64, value []byte) error {
				if field == 2 {
					a.Value = value
				}
				return nil
			})
		case 8, 9:
			p, err := parsePeer(value)
			if field == 8 {
				a.Closer = append(a.Closer, p)
			} else {
				a.Providers = append(a.Providers, p)
			}
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("raw: an answer of %d bytes: %w", len(b), err)
	}
	return a, nil
}

func parsePeer(b []byte) (p Peer, err error) {
	err = each(b, func(field protowire.Number, _ uint64, value []byte) error {
		switch field {
		case 1:
			p.ID = value
		case 2:
			p.Addrs = append(p.Addrs, value)
		}
		return nil
	})
	return p, err
}

// each calls fn with every field of an encoded message.
func each(b []byte, fn func(field protowire.Number, number uint64, value []byte) error) error {
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		var number uint64
		var value []byte
		m := protowire.ConsumeFieldValue(field, typ, b[n:])
		if m < 0 {
			return protowire.ParseError(m)
		}
		switch typ {
		case protowire.VarintType:
			number, _ = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			value, _ = protowire.ConsumeBytes(b[n:])
		}
		if err := fn(field, number, value); err != nil {
			return err
		}
		b = b[n+m:]
	}
	return nil
}
