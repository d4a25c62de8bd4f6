package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2precord "github.com/libp2p/go-libp2p/core/record"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// mutDomain separates these signatures from all others a libp2p key makes.
	mutDomain = "kdht-mut-record"
	// mutPayloadType marks the payload in the envelope (RFC 0002).
	mutPayloadType = "/kdht/mut/1"
)

// errMutWire means that bytes are not a sealed value in its one valid form.
var errMutWire = errors.New("not a sealed value: make it with store.SealMut")

// mutPayload is what a sealed value's signature covers, as the protobuf message
// {1 sequence uint64, 2 expiry uint64 (nanoseconds since 1970), 3 name, 4 value}
// with every field present, once, in this order and in shortest form.
type mutPayload struct {
	sequence uint64
	expiry   time.Time
	name     string
	value    []byte
}

var _ libp2precord.Record = (*mutPayload)(nil)

// Domain implements libp2p's record.Record.
func (*mutPayload) Domain() string { return mutDomain }

// Codec implements libp2p's record.Record.
func (*mutPayload) Codec() []byte { return []byte(mutPayloadType) }

// MarshalRecord implements libp2p's record.Record.
func (p *mutPayload) MarshalRecord() ([]byte, error) { return p.append(nil), nil }

// UnmarshalRecord implements libp2p's record.Record. p borrows from b.
func (p *mutPayload) UnmarshalRecord(b []byte) error {
	var expiry uint64
	ok := true
	p.sequence, b, ok = cutVarint(b, 1, ok)
	expiry, b, ok = cutVarint(b, 2, ok)
	name, b, ok := cutField(b, 3, ok)
	p.value, b, ok = cutField(b, 4, ok)
	if !ok || len(b) > 0 || expiry > math.MaxInt64 {
		return errMutWire
	}
	p.name = string(name)
	p.expiry = time.Unix(0, int64(expiry)).UTC()
	return nil
}

func (p *mutPayload) append(b []byte) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, p.sequence)
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(p.expiry.UnixNano()))
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	b = protowire.AppendString(b, p.name)
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	return protowire.AppendBytes(b, p.value)
}

// expiryFits reports whether t can be written as nanoseconds since 1970.
func expiryFits(t time.Time) bool {
	return !t.Before(time.Unix(0, 0)) && !t.After(time.Unix(0, math.MaxInt64))
}

// mutEnvelope is libp2p's signed envelope, taken apart:
// {1 public_key, 2 payload_type, 3 payload, 5 signature}.
type mutEnvelope struct{ key, payloadType, payload, signature []byte }

// parseEnvelope takes b apart without checking its signature. Only the one form
// that signing produces is accepted: a lenient parser would let anybody make other
// bytes of the same signed content, and of two such the greater would win.
func parseEnvelope(b []byte) (e mutEnvelope, err error) {
	ok := true
	e.key, b, ok = cutField(b, 1, ok)
	e.payloadType, b, ok = cutField(b, 2, ok)
	e.payload, b, ok = cutField(b, 3, ok)
	e.signature, b, ok = cutField(b, 5, ok)
	if !ok || len(b) > 0 || string(e.payloadType) != mutPayloadType {
		return mutEnvelope{}, errMutWire
	}
	return e, nil
}

// openEnvelope checks that b is signed by the peer with this id and returns its
// payload.
func openEnvelope(id peer.ID, b []byte) (*mutPayload, error) {
	e, err := parseEnvelope(b)
	if err != nil {
		return nil, err
	}
	// Whose key it is comes before the costly check of the signature.
	key, err := crypto.UnmarshalPublicKey(e.key)
	if err != nil {
		return nil, errMutWire
	}
	if form, err := crypto.MarshalPublicKey(key); err != nil || !bytes.Equal(form, e.key) {
		return nil, errMutWire
	}
	if !id.MatchesPublicKey(key) {
		return nil, fmt.Errorf("it is signed by another peer than %s", id)
	}
	p := new(mutPayload)
	if _, err := libp2precord.ConsumeTypedEnvelope(b, p); err != nil {
		return nil, err
	}
	return p, nil
}

// cutField splits the length-delimited field with this number off b.
func cutField(b []byte, number protowire.Number, ok bool) (field, rest []byte, _ bool) {
	b, ok = cutTag(b, number, protowire.BytesType, ok)
	n, b, ok := cutShortest(b, ok)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// cutVarint splits the varint field with this number off b.
func cutVarint(b []byte, number protowire.Number, ok bool) (v uint64, rest []byte, _ bool) {
	b, ok = cutTag(b, number, protowire.VarintType, ok)
	return cutShortest(b, ok)
}

// cutTag splits off the tag of a field; numbers up to 15 take one byte.
func cutTag(b []byte, number protowire.Number, t protowire.Type, ok bool) ([]byte, bool) {
	if !ok || len(b) == 0 || uint64(b[0]) != protowire.EncodeTag(number, t) {
		return nil, false
	}
	return b[1:], true
}

// cutShortest splits off a varint that is not longer than its value needs.
func cutShortest(b []byte, ok bool) (v uint64, rest []byte, _ bool) {
	if !ok {
		return 0, nil, false
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 || n != protowire.SizeVarint(v) {
		return 0, nil, false
	}
	return v, b[n:], true
}
