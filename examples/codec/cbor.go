package main

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/kdht/kdht/protocol"
)

// cborCodec writes a message as two CBOR items: its type, and the rest as an array.
type cborCodec struct{}

var _ protocol.Codec = cborCodec{}

// The rest of a message. Fields that this program does not know have no place in CBOR.
type (
	body struct {
		_                 struct{} `cbor:",toarray"`
		Key               []byte
		Record            *record
		Closer, Providers []contact
		ClusterLevel      int32
	}
	record struct {
		_                        struct{} `cbor:",toarray"`
		Key, Value, TimeReceived []byte
	}
	contact struct {
		_          struct{} `cbor:",toarray"`
		ID         []byte
		Addrs      [][]byte
		Connection protocol.Connection
	}
)

// longest bounds a frame: an item of one byte becomes a slice of 24.
const longest = 256 << 10

// strict refuses what no honest peer sends.
var strict = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		MaxArrayElements: protocol.MaxPeers, MaxNestedLevels: 8,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return mode
}()

// Name implements protocol.Codec.
func (cborCodec) Name() string { return "cbor" }

// Append implements protocol.Codec.
func (cborCodec) Append(b []byte, m *protocol.Message) ([]byte, error) {
	rest := body{Key: m.Key, Closer: contacts(m.CloserPeers), Providers: contacts(m.ProviderPeers), ClusterLevel: m.ClusterLevel}
	if m.HasRecord {
		rest.Record = &record{Key: m.Record.Key, Value: m.Record.Value, TimeReceived: m.Record.TimeReceived}
	}
	start := len(b)
	for _, item := range []any{m.Type, &rest} {
		encoded, err := cbor.Marshal(item)
		if err != nil {
			return b[:start], fmt.Errorf("encode cbor: %w: %w", err, protocol.ErrMalformed)
		}
		b = append(b, encoded...)
	}
	if size := len(b) - start; size > longest {
		return b[:start], fmt.Errorf("encode cbor: %d bytes, at most %d: %w", size, longest, protocol.ErrTooLarge)
	}
	return b, nil
}

// Decode implements protocol.Codec.
func (c cborCodec) Decode(b []byte, m *protocol.Message) error {
	m.Reset()
	rest, err := c.head(b, &m.Type)
	if err != nil {
		return err
	}
	var in body
	if err := strict.Unmarshal(rest, &in); err != nil {
		return fmt.Errorf("decode cbor: %w: %w", err, protocol.ErrMalformed)
	}
	m.Key, m.ClusterLevel = in.Key, in.ClusterLevel
	if m.HasRecord = in.Record != nil; m.HasRecord {
		m.Record = protocol.Record{Key: in.Record.Key, Value: in.Record.Value, TimeReceived: in.Record.TimeReceived}
	}
	m.CloserPeers = peers(m.CloserPeers, in.Closer, m.Bounds.Closer, m.Bounds.Addrs)
	m.ProviderPeers = peers(m.ProviderPeers, in.Providers, m.Bounds.Providers, m.Bounds.Addrs)
	return nil
}

// Type implements protocol.Codec: it reads the first item alone.
func (c cborCodec) Type(b []byte) (t protocol.Type, err error) {
	_, err = c.head(b, &t)
	return t, err
}

// head reads a message's type and returns what follows.
func (cborCodec) head(b []byte, t *protocol.Type) (rest []byte, err error) {
	if len(b) > longest {
		return nil, fmt.Errorf("decode cbor: %d bytes, at most %d: %w: %w", len(b), longest, protocol.ErrTooLarge, protocol.ErrMalformed)
	}
	if len(b) == 0 || b[0]>>5 > 1 { // no integer
		return nil, fmt.Errorf("decode cbor: no type: %w", protocol.ErrMalformed)
	}
	if rest, err = strict.UnmarshalFirst(b, t); err != nil {
		return nil, fmt.Errorf("decode cbor: type: %w: %w", err, protocol.ErrMalformed)
	}
	return rest, nil
}

func contacts(list []protocol.Peer) []contact {
	out := make([]contact, len(list))
	for i, p := range list {
		out[i] = contact{ID: p.ID, Addrs: p.Addrs, Connection: p.Connection}
	}
	return out
}

// peers appends as many of list as keep says, each with as many addresses as addrs
// says; 0 says all.
func peers(out []protocol.Peer, list []contact, keep, addrs int) []protocol.Peer {
	for _, c := range list[:within(keep, len(list))] {
		out = append(out, protocol.Peer{ID: c.ID, Addrs: c.Addrs[:within(addrs, len(c.Addrs))], Connection: c.Connection})
	}
	return out
}

func within(bound, n int) int {
	if bound > 0 {
		return min(bound, n)
	}
	return n
}
