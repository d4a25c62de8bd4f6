package protocol

import (
	"bytes"
	"errors"
	"testing"
)

// A peer is sent with the addresses that fit MaxPeerSize, whether precoded or
// not, and with its id whatever its size.
func TestPeerSizeCap(t *testing.T) {
	for _, v := range vectors(t) {
		if v.Name == surplus {
			testPeerSizeCap(t, v.Message.message().ProviderPeers[0])
		}
	}
	huge := Peer{ID: make([]byte, 2*MaxPeerSize), Addrs: [][]byte{{1}}}
	b, err := Protobuf.Append(nil, &Message{CloserPeers: []Peer{huge}})
	var m Message
	if err == nil {
		err = Protobuf.Decode(b, &m)
	}
	if err != nil || len(m.CloserPeers[0].ID) != len(huge.ID) || len(m.CloserPeers[0].Addrs) != 0 {
		t.Errorf("%v, id of %d bytes, %d addresses", err, len(m.CloserPeers[0].ID), len(m.CloserPeers[0].Addrs))
	}
}

func testPeerSizeCap(t *testing.T, p Peer) {
	p.Connection = Connected
	precoded := p.Clone()
	precoded.Precode()
	var first []byte
	for _, p := range []Peer{p, precoded} {
		b, err := Protobuf.Append(nil, &Message{ProviderPeers: []Peer{p}})
		if err != nil {
			t.Fatal(err)
		}
		var m Message
		if err := Protobuf.Decode(b, &m); err != nil {
			t.Fatal(err)
		}
		kept := len(m.ProviderPeers[0].Addrs)
		// Tag and length of the peer take 4 bytes; one more address, 10.
		if size := len(b) - 4; size > MaxPeerSize || size+10 < MaxPeerSize-maxConnectionSize {
			t.Errorf("peer of %d bytes with %d addresses", size, kept)
		}
		want := p
		want.Addrs = p.Addrs[:kept]
		if !equalPeer(&m.ProviderPeers[0], &want) {
			t.Error("not the first addresses are kept")
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(b, first) {
			t.Error("precoded, the peer is sent differently")
		}
		text, err := JSON.Append(nil, &Message{ProviderPeers: []Peer{p}})
		if err != nil || bytes.Count(text, []byte("/ip4/")) != kept {
			t.Errorf("JSON names %d addresses, want %d (%v)", bytes.Count(text, []byte("/ip4/")), kept, err)
		}
		p.Connection = -1 // takes ten bytes
		if b, err := Protobuf.Append(nil, &Message{ProviderPeers: []Peer{p}}); err != nil || len(b)-4 > MaxPeerSize {
			t.Errorf("peer of %d bytes (%v)", len(b)-4, err)
		}
	}
}

// A precoded peer's connection may still change.
func TestPrecodedConnection(t *testing.T) {
	p := answer(1).CloserPeers[0]
	precoded := p.Clone()
	precoded.Precode()
	for _, c := range []Connection{NotConnected, Connected, 300, -1} {
		p.Connection, precoded.Connection = c, c
		want, _ := Protobuf.Append(nil, &Message{CloserPeers: []Peer{p}})
		got, err := Protobuf.Append(nil, &Message{CloserPeers: []Peer{precoded}})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("connection %d: %x, want %x (%v)", c, got, want, err)
		}
	}
}

func TestRecordClone(t *testing.T) {
	r := Record{Key: []byte("k"), Value: []byte("v"), TimeReceived: []byte("t"), Unknown: unhex("2001")}
	c := r.Clone()
	for _, b := range [][]byte{r.Key, r.Value, r.TimeReceived, r.Unknown} {
		b[0] ^= 0xff
	}
	want := Record{Key: []byte("k"), Value: []byte("v"), TimeReceived: []byte("t"), Unknown: unhex("2001")}
	if !equalRecords(&c, &want) {
		t.Errorf("clone %+v", c)
	}
}

// An echo says what the request says, without its peers, and shares no room
// with it: decoding into either leaves the other alone.
func TestEcho(t *testing.T) {
	stuffed := answer(3)
	stuffed.Type, stuffed.Key, stuffed.Unknown = Ping, []byte("key"), unhex("5801")
	stuffed.Record, stuffed.HasRecord = Record{Key: []byte("k"), Value: []byte("v")}, true
	frame, err := Protobuf.Append(nil, stuffed)
	if err != nil {
		t.Fatal(err)
	}
	var req, resp Message
	if err := Protobuf.Decode(frame, &req); err != nil {
		t.Fatal(err)
	}
	resp.Echo(&req)
	want := *stuffed
	want.CloserPeers = nil
	if !equal(&resp, &want) {
		t.Fatalf("echo %+v", resp)
	}
	other, err := Protobuf.Append(nil, answer(9))
	if err != nil {
		t.Fatal(err)
	}
	if err := Protobuf.Decode(other, &resp); err != nil {
		t.Fatal(err)
	}
	if !equal(&req, stuffed) {
		t.Error("decoding into the echo changed the request")
	}
}

func TestReset(t *testing.T) {
	frame, err := Protobuf.Append(nil, answer(20))
	if err != nil {
		t.Fatal(err)
	}
	var m Message
	if err := Protobuf.Decode(frame, &m); err != nil {
		t.Fatal(err)
	}
	peers, addrs := cap(m.CloserPeers), cap(m.addrs)
	m.Key, m.Record, m.HasRecord, m.Unknown = []byte("k"), Record{Key: []byte("k")}, true, []byte{1}
	m.Reset()
	if !equal(&m, &Message{}) || cap(m.CloserPeers) != peers || cap(m.addrs) != addrs {
		t.Errorf("left %+v", m)
	}
	if p := m.CloserPeers[:1][0]; p.ID != nil || p.Addrs != nil {
		t.Error("an emptied list still holds what it borrowed")
	}
	m.CloserPeers = make([]Peer, keptPeers+1)
	if m.Reset(); cap(m.CloserPeers) != 0 {
		t.Error("the room of a large message is kept")
	}
	m.text = make([]byte, keptText+1)
	if m.Reset(); cap(m.text) != 0 {
		t.Error("the room of a large text is kept")
	}
}

func TestAppendLimits(t *testing.T) {
	for name, test := range map[string]struct {
		m    *Message
		want error
	}{
		"exactly 4 MiB":      {&Message{Key: make([]byte, MaxFrame-5)}, nil},
		"one more":           {&Message{Key: make([]byte, MaxFrame-4)}, ErrTooLarge},
		"time not UTF-8":     {&Message{HasRecord: true, Record: Record{TimeReceived: []byte{0xff}}}, ErrMalformed},
		"more than a memory": {&Message{CloserPeers: repeated(1<<20, Peer{Unknown: make([]byte, 1<<12)})}, ErrTooLarge},
	} {
		b, err := Protobuf.Append([]byte("before"), test.m)
		if !errors.Is(err, test.want) || (err != nil && string(b) != "before") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if err == nil && len(b) != len("before")+MaxFrame {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
}

func repeated(n int, p Peer) []Peer {
	list := make([]Peer, n)
	for i := range list {
		list[i] = p
	}
	return list
}
