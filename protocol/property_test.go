package protocol

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

var (
	someBytes = rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 40),
		rapid.Map(rapid.StringN(0, 20, 80), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.Just(idHex), unhex),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 70), func(b []byte) []byte { return append([]byte{0, byte(len(b))}, b...) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 30, 34), func(b []byte) []byte { return append([]byte{0x12, 0x20}, b...) }),
	)
	someText = rapid.Map(rapid.StringN(0, 30, 90), func(s string) []byte { return bytes.ToValidUTF8([]byte(s), nil) })
	someEnum = rapid.OneOf(rapid.Int32Range(-1, 7), rapid.Int32())
	// someAddr is made of components that are nearly always well formed.
	someAddr = rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
		"047f000001", "040a0000ff", "2900000000000000000000ffff01020304", "2920010db8000000000000000000000001", "290000000000000000000000000000000000",
		"060fa1", "0600", "91020fa1", "cd03", "dd03", "de03", "d103", "a202", "c003", "36076578616d706c65", "3603612f62", "3702ff61",
		"a50326" + idHex, "a503221220e2935e26c615bd93616a36735d677f08dcffe6d454b48fa53031f61c8c5df1d3", "a5030200" + "00",
		"d2032212202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "90030474657374", "900305" + "2f746d70" + "2f", "e103" + "0461256220", "2a0465746830", "2b40", "0a", "ff7f",
	}), 0, 5), func(parts []string) (addr []byte) {
		for _, part := range parts {
			addr = append(addr, unhex(part)...)
		}
		return addr
	})
)

// someFields draws fields that are unknown where known lists the tags that are
// not, as they would be found in a message.
func someFields(known []uint32) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) (b []byte) {
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			f := someField(0).Draw(t, "field")
			if allUnknown(f, known) {
				b = append(b, f...)
			}
		}
		return b
	})
}

// someField draws a well-formed field of any number and wire type.
func someField(depth int) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		num := protowire.Number(rapid.OneOf(rapid.Int32Range(1, 12), rapid.Int32Range(1, 1<<29-1)).Draw(t, "number"))
		typ := protowire.Type(rapid.SampledFrom([]int{0, 1, 2, 2, 2, 3, 5}).Draw(t, "wire type"))
		b := protowire.AppendTag(nil, num, typ)
		switch typ {
		case protowire.VarintType:
			return protowire.AppendVarint(b, rapid.Uint64().Draw(t, "varint"))
		case protowire.Fixed64Type:
			return protowire.AppendFixed64(b, 1)
		case protowire.Fixed32Type:
			return protowire.AppendFixed32(b, 1)
		case protowire.StartGroupType:
			if depth < 3 {
				b = append(b, someField(depth+1).Draw(t, "in group")...)
			}
			return protowire.AppendTag(b, num, protowire.EndGroupType)
		}
		if depth < 2 && rapid.Bool().Draw(t, "message") {
			inner := someField(depth+1).Draw(t, "inner")
			inner = append(inner, someField(depth+1).Draw(t, "inner")...)
			return protowire.AppendBytes(b, inner)
		}
		return protowire.AppendBytes(b, someBytes.Draw(t, "bytes"))
	})
}

var somePeer = rapid.Custom(func(t *rapid.T) Peer {
	return Peer{
		ID:         someBytes.Draw(t, "id"),
		Addrs:      rapid.SliceOfN(rapid.OneOf(someAddr, someBytes), 0, 4).Draw(t, "addrs"),
		Connection: Connection(someEnum.Draw(t, "connection")),
		Unknown:    someFields(peerTags[:]).Draw(t, "unknown"),
	}
})

var someMessage = rapid.Custom(func(t *rapid.T) *Message {
	m := &Message{
		Type:          Type(someEnum.Draw(t, "type")),
		Key:           someBytes.Draw(t, "key"),
		HasRecord:     rapid.Bool().Draw(t, "record"),
		CloserPeers:   rapid.SliceOfN(somePeer, 0, 4).Draw(t, "closer"),
		ProviderPeers: rapid.SliceOfN(somePeer, 0, 4).Draw(t, "providers"),
		ClusterLevel:  rapid.Int32().Draw(t, "level"),
		Unknown:       someFields(messageTags[:]).Draw(t, "unknown"),
	}
	if m.HasRecord {
		m.Record = Record{
			Key: someBytes.Draw(t, "record key"), Value: someBytes.Draw(t, "value"), TimeReceived: someText.Draw(t, "time"),
			Unknown: someFields(recordTags[:]).Draw(t, "record unknown"),
		}
	}
	return m
})

// What one codec writes it reads back, and so does a message used before; what
// both read is the same message; and encoding it again gives the same bytes.
func TestRoundTrips(t *testing.T) {
	used := map[string]*Message{Protobuf.Name(): {}, JSON.Name(): {}}
	rapid.Check(t, func(t *rapid.T) {
		m := someMessage.Draw(t, "message")
		for _, c := range []Codec{Protobuf, JSON} {
			b, err := c.Append([]byte("before"), m)
			if err != nil {
				t.Fatal(err)
			}
			b, ok := bytes.CutPrefix(b, []byte("before"))
			if !ok {
				t.Fatalf("%s: what was before is lost: %x", c.Name(), b)
			}
			if c == JSON && !json.Valid(b) {
				t.Fatalf("not JSON: %s", b)
			}
			back := used[c.Name()]
			if err := c.Decode(b, back); err != nil {
				t.Fatalf("%s: %v\n%q", c.Name(), err, b)
			}
			if !equal(back, m) {
				t.Fatalf("%s: %q\nread as %+v\nwant    %+v", c.Name(), b, back, m)
			}
			if typ, err := c.Type(b); err != nil || typ != m.Type {
				t.Fatalf("%s: type %v, %v", c.Name(), typ, err)
			}
			if again, err := c.Append(nil, back); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%s: %v\nwrote %q\nthen  %q", c.Name(), err, b, again)
			}
			if c == Protobuf && len(b) != Size(m) {
				t.Fatalf("size %d, encoded %d", Size(m), len(b))
			}
		}
	})
}

// Any row of fields, cut, spliced and stirred, is judged and read as the
// reference does.
func TestReferenceAgrees(t *testing.T) {
	all := vectors(t)
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		if rapid.Bool().Draw(t, "from a vector") {
			b = rapid.SampledFrom(all).Draw(t, "vector").body()
		}
		for range rapid.IntRange(0, 6).Draw(t, "fields") {
			i := rapid.IntRange(0, len(b)).Draw(t, "place")
			f := someField(0).Draw(t, "field")
			b = append(append(append([]byte{}, b[:i]...), f...), b[i:]...)
		}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "place")] = rapid.Byte().Draw(t, "byte")
			}
		}
		if rapid.Bool().Draw(t, "cut") {
			b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
		}
		checkAll(t, b)
	})
}

// checkAll is what holds for any bytes: the reference agrees, Type agrees with
// Decode, and JSON gives back what it is given.
func checkAll(t fataler, b []byte) {
	t.Helper()
	m := checkReference(t, b)
	if m == nil {
		return
	}
	if typ, err := Protobuf.Type(b); err != nil || typ != m.Type {
		t.Fatalf("%x\ntype %v, %v, want %v", b, typ, err, m.Type)
	}
	if capped(m) {
		return
	}
	text, err := JSON.Append(nil, m)
	if err != nil {
		t.Fatalf("%x\nno JSON: %v", b, err)
	}
	var back Message
	if err := JSON.Decode(text, &back); err != nil || !equal(&back, m) {
		t.Fatalf("%v\n%s\nread as %+v\nwant    %+v", err, text, back, m)
	}
}

// A clone says the same and shares no byte with what it was cloned from; a
// precoded peer is encoded as before.
func TestCloneAndPrecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := somePeer.Draw(t, "peer")
		want, err := Protobuf.Append(nil, &Message{CloserPeers: []Peer{p}})
		if err != nil {
			t.Fatal(err)
		}
		c := p.Clone()
		for _, v := range append([][]byte{p.ID, p.Unknown}, p.Addrs...) {
			for i := range v {
				v[i] ^= 0xff
			}
		}
		encode := func() []byte {
			b, _ := Protobuf.Append(nil, &Message{CloserPeers: []Peer{c}})
			return b
		}
		if got := encode(); !bytes.Equal(got, want) {
			t.Fatalf("clone encoded %x, want %x", got, want)
		}
		c.Precode()
		if got := encode(); !bytes.Equal(got, want) {
			t.Fatalf("precoded %x, want %x", got, want)
		}
		c = c.Clone()
		if got := encode(); !bytes.Equal(got, want) || c.encoded == nil {
			t.Fatalf("clone of precoded %x, want %x", got, want)
		}
		n := rapid.IntRange(0, 4).Draw(t, "cut to")
		c.cut(n)
		cut := encode()
		c.encoded = nil
		if got := encode(); !bytes.Equal(got, cut) || len(c.Addrs) > n {
			t.Fatalf("cut to %d: precoded %x, want %x", n, cut, got)
		}
	})
}
