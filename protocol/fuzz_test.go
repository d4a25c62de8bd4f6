package protocol

import (
	"bytes"
	"testing"
)

// FuzzDecode decodes any bytes and compares with the reference decoder.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.body())
	}
	f.Add(bytes.Repeat([]byte{8<<3 | 2, 0}, 2*freePeers)) // peers without anything
	// The same cut short by one byte: nothing may be read beyond the end.
	for _, v := range vectors(f) {
		if b := v.body(); len(b) > 0 {
			f.Add(bytes.Clone(b[:len(b)-1]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkReference(t, b) })
}

// FuzzRoundTrip takes any bytes that are a message through both codecs.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.body())
	}
	const deep = maxGroups + 1
	f.Add(append(bytes.Repeat([]byte{10<<3 | 3}, deep), bytes.Repeat([]byte{10<<3 | 4}, deep)...))
	f.Fuzz(func(t *testing.T, b []byte) { checkAll(t, b) })
}

// FuzzJSON reads any text. What is taken is written in a form that reads back
// as the same message and that Type agrees with, and survives protobuf.
func FuzzJSON(f *testing.F) {
	for _, v := range vectors(f) {
		if v.Expect != "ok" {
			continue
		}
		text, err := JSON.Append(nil, v.Message.message())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range jsonReads {
		f.Add([]byte(text.text))
	}
	for _, text := range jsonRefused {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m, back Message
		typ, typErr := JSON.Type(text)
		if JSON.Decode(text, &m) != nil || capped(&m) {
			return
		}
		if typErr != nil || typ != m.Type {
			t.Fatalf("type %v, %v, want %v", typ, typErr, m.Type)
		}
		if len(m.CloserPeers)+len(m.ProviderPeers) > freePeers || countAddrs(&m) > freeAddrs {
			return
		}
		again, err := JSON.Append(nil, &m)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if err := JSON.Decode(again, &back); err != nil || !equal(&back, &m) {
			t.Fatalf("%v\n%s\nread as %+v\nwant    %+v", err, again, back, m)
		}
		b, err := Protobuf.Append(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		if err := Protobuf.Decode(b, &back); err != nil || !equal(&back, &m) {
			t.Fatalf("%v\n%x\nread as %+v\nwant    %+v", err, b, back, m)
		}
	})
}

// FuzzSplitP2P compares with the multiaddr library's own parser.
func FuzzSplitP2P(f *testing.F) {
	id := unhex(idHex)
	for _, test := range splitTests {
		f.Add(bytes.Join([][]byte{unhex(test.addr)}, nil), id)
	}
	for _, v := range vectors(f) {
		if v.Expect != "ok" {
			continue
		}
		m := v.Message.message()
		for _, p := range append(m.CloserPeers, m.ProviderPeers...) {
			for _, addr := range p.Addrs[:min(len(p.Addrs), 20)] {
				f.Add(addr, p.ID)
			}
		}
	}
	f.Fuzz(func(t *testing.T, addr, id []byte) { checkSplit(t, addr, id) })
}
