package conformance

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// message is an answer as this package reads it, independently of our codec.
type message struct {
	typ       int32
	key       []byte
	record    *record
	closer    []peerInfo
	providers []peerInfo
	level     int32
	unknown   []byte
}

type record struct {
	key, value, time, unknown []byte
}

type peerInfo struct {
	id         []byte
	addrs      [][]byte
	connection int32
	unknown    []byte
}

var typeNames = map[int32]string{0: "PUT_VALUE", 1: "GET_VALUE", 2: "ADD_PROVIDER", 3: "GET_PROVIDERS", 4: "FIND_NODE", 5: "PING"}

var connectionNames = map[int32]string{0: "NOT_CONNECTED", 1: "CONNECTED", 2: "CAN_CONNECT", 3: "CANNOT_CONNECT"}

// field is one protobuf field: of a varint field num is set, of a bytes field
// bytes.
type field struct {
	no    protowire.Number
	typ   protowire.Type
	num   uint64
	bytes []byte
	raw   []byte // the whole field, tag included
}

// fields cuts b into its protobuf fields.
func fields(b []byte) ([]field, error) {
	var all []field
	for len(b) > 0 {
		no, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		m := protowire.ConsumeFieldValue(no, typ, b[n:])
		if m < 0 {
			return nil, protowire.ParseError(m)
		}
		f := field{no: no, typ: typ, raw: b[:n+m]}
		switch typ {
		case protowire.VarintType:
			f.num, _ = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			f.bytes, _ = protowire.ConsumeBytes(b[n:])
		}
		all = append(all, f)
		b = b[n+m:]
	}
	return all, nil
}

// parseMessage reads the body of a frame (wire.md §3).
func parseMessage(b []byte) (message, error) {
	var m message
	all, err := fields(b)
	for _, f := range all {
		switch {
		case f.no == 1 && f.typ == protowire.VarintType:
			m.typ = int32(f.num)
		case f.no == 2 && f.typ == protowire.BytesType:
			m.key = f.bytes
		case f.no == 3 && f.typ == protowire.BytesType:
			r, e := parseRecord(f.bytes)
			m.record, err = &r, first(err, e)
		case f.no == 8 && f.typ == protowire.BytesType:
			p, e := parsePeer(f.bytes)
			m.closer, err = append(m.closer, p), first(err, e)
		case f.no == 9 && f.typ == protowire.BytesType:
			p, e := parsePeer(f.bytes)
			m.providers, err = append(m.providers, p), first(err, e)
		case f.no == 10 && f.typ == protowire.VarintType:
			m.level = int32(f.num)
		default:
			m.unknown = append(m.unknown, f.raw...)
		}
	}
	return m, err
}

func parseRecord(b []byte) (record, error) {
	var r record
	all, err := fields(b)
	for _, f := range all {
		switch {
		case f.typ != protowire.BytesType:
			r.unknown = append(r.unknown, f.raw...)
		case f.no == 1:
			r.key = f.bytes
		case f.no == 2:
			r.value = f.bytes
		case f.no == 5:
			r.time = f.bytes
		default:
			r.unknown = append(r.unknown, f.raw...)
		}
	}
	return r, err
}

func parsePeer(b []byte) (peerInfo, error) {
	var p peerInfo
	all, err := fields(b)
	for _, f := range all {
		switch {
		case f.no == 1 && f.typ == protowire.BytesType:
			p.id = f.bytes
		case f.no == 2 && f.typ == protowire.BytesType:
			p.addrs = append(p.addrs, f.bytes)
		case f.no == 3 && f.typ == protowire.VarintType:
			p.connection = int32(f.num)
		default:
			p.unknown = append(p.unknown, f.raw...)
		}
	}
	return p, err
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// appendPeer appends p as field no of a message.
func appendPeer(b []byte, no protowire.Number, p peerInfo) []byte {
	body := protowire.AppendTag(nil, 1, protowire.BytesType)
	body = protowire.AppendBytes(body, p.id)
	for _, a := range p.addrs {
		body = protowire.AppendTag(body, 2, protowire.BytesType)
		body = protowire.AppendBytes(body, a)
	}
	if p.connection != 0 {
		body = protowire.AppendTag(body, 3, protowire.VarintType)
		body = protowire.AppendVarint(body, uint64(p.connection))
	}
	body = append(body, p.unknown...)
	b = protowire.AppendTag(b, no, protowire.BytesType)
	return protowire.AppendBytes(b, body)
}

// appendMessage appends m's body in the order deployed peers write it.
func appendMessage(b []byte, m message) []byte {
	if m.typ != 0 {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(int64(m.typ)))
	}
	if len(m.key) > 0 {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, m.key)
	}
	if m.record != nil {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, appendRecord(nil, *m.record))
	}
	for _, p := range m.closer {
		b = appendPeer(b, 8, p)
	}
	for _, p := range m.providers {
		b = appendPeer(b, 9, p)
	}
	if m.level != 0 {
		b = protowire.AppendTag(b, 10, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(int64(m.level)))
	}
	return append(b, m.unknown...)
}

func appendRecord(b []byte, r record) []byte {
	for _, f := range []struct {
		no    protowire.Number
		value []byte
	}{{1, r.key}, {2, r.value}, {5, r.time}} {
		if len(f.value) > 0 {
			b = protowire.AppendTag(b, f.no, protowire.BytesType)
			b = protowire.AppendBytes(b, f.value)
		}
	}
	return append(b, r.unknown...)
}

// framed is m as it goes over the wire, length prefix included.
func framed(m message) frame {
	body := appendMessage(nil, m)
	return append(protowire.AppendVarint(nil, uint64(len(body))), body...)
}
