package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"
)

// vector is one entry of testdata/messages.json.
type vector struct {
	Name         string
	Hex          string
	Expect       string
	Error        string
	Message      *twin
	CanonicalHex string
}

func (v vector) body() []byte { return unhex(v.Hex) }

// canonical is what encoding v's message gives.
func (v vector) canonical() []byte {
	if v.CanonicalHex != "" {
		return unhex(v.CanonicalHex)
	}
	return unhex(v.Hex)
}

// twin is a message as testdata/README.md writes it down.
type twin struct {
	Type            any
	Key             string
	Record          *twinRecord
	CloserPeers     []twinPeer
	ProviderPeers   []twinPeer
	ClusterLevelRaw int32
	Unknown         string
}

type twinRecord struct {
	Key, Value, TimeReceived, Unknown string
}

type twinPeer struct {
	ID         *string `json:"id"`
	IDHex      string
	Addrs      []*string
	AddrsHex   []string
	Connection any
	Unknown    string
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("BUG: test vector: " + err.Error())
	}
	return b
}

// message builds v's message from its twin alone.
func (w *twin) message() *Message {
	m := &Message{
		Type:          Type(number(w.Type, typeNames[:])),
		Key:           unhex(w.Key),
		CloserPeers:   peersOf(w.CloserPeers),
		ProviderPeers: peersOf(w.ProviderPeers),
		ClusterLevel:  w.ClusterLevelRaw,
		Unknown:       unhex(w.Unknown),
	}
	if r := w.Record; r != nil {
		m.HasRecord = true
		m.Record = Record{Key: unhex(r.Key), Value: unhex(r.Value), TimeReceived: []byte(r.TimeReceived), Unknown: unhex(r.Unknown)}
	}
	return m
}

func peersOf(list []twinPeer) (peers []Peer) {
	for _, w := range list {
		p := Peer{ID: unhex(w.IDHex), Connection: Connection(number(w.Connection, connectionNames[:])), Unknown: unhex(w.Unknown)}
		for _, addr := range w.AddrsHex {
			p.Addrs = append(p.Addrs, unhex(addr))
		}
		peers = append(peers, p)
	}
	return peers
}

// number turns a name or a number into a number.
func number(v any, names []string) int32 {
	switch v := v.(type) {
	case float64:
		return int32(v)
	case string:
		for i, name := range names {
			if name == v {
				return int32(i)
			}
		}
		if n, err := strconv.Atoi(v); err == nil {
			return int32(n)
		}
	}
	panic("BUG: test vector: neither name nor number")
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	text, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		tb.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil {
		tb.Fatal(err)
	}
	if len(list) < 200 {
		tb.Fatalf("%d vectors, expected over 200", len(list))
	}
	return list
}

// equal compares what two messages say; empty and absent bytes are the same.
func equal(a, b *Message) bool {
	return a.Type == b.Type && bytes.Equal(a.Key, b.Key) && a.HasRecord == b.HasRecord &&
		equalRecords(&a.Record, &b.Record) && a.ClusterLevel == b.ClusterLevel && bytes.Equal(a.Unknown, b.Unknown) &&
		equalPeers(a.CloserPeers, b.CloserPeers) && equalPeers(a.ProviderPeers, b.ProviderPeers)
}

func equalRecords(a, b *Record) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) &&
		bytes.Equal(a.TimeReceived, b.TimeReceived) && bytes.Equal(a.Unknown, b.Unknown)
}

func equalPeers(a, b []Peer) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equalPeer(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func equalPeer(a, b *Peer) bool {
	if !bytes.Equal(a.ID, b.ID) || a.Connection != b.Connection || !bytes.Equal(a.Unknown, b.Unknown) || len(a.Addrs) != len(b.Addrs) {
		return false
	}
	for i := range a.Addrs {
		if !bytes.Equal(a.Addrs[i], b.Addrs[i]) {
			return false
		}
	}
	return true
}

// checkNoSpare fails if appending to a slice of a decoded message would write
// over what lies behind it.
func checkNoSpare(t *testing.T, m *Message) {
	t.Helper()
	all := [][]byte{m.Key, m.Record.Key, m.Record.Value, m.Record.TimeReceived}
	for _, p := range append(m.CloserPeers[:len(m.CloserPeers):len(m.CloserPeers)], m.ProviderPeers...) {
		all = append(append(all, p.ID), p.Addrs...)
		if cap(p.Addrs) != len(p.Addrs) {
			t.Errorf("room behind the addresses of %x", p.ID)
		}
	}
	for _, v := range all {
		if cap(v) != len(v) {
			t.Errorf("room behind %q", v)
		}
	}
}

// surplus is the vector that holds more addresses than a peer is sent with.
const surplus = "constructed/add-provider-900-addresses"

func TestProtobufVectors(t *testing.T) {
	used := new(Message) // decoding into a used message must be no different
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			for _, m := range []*Message{used, {}} {
				testVector(t, v, m)
			}
		})
	}
}

func testVector(t *testing.T, v vector, m *Message) {
	err := Protobuf.Decode(v.body(), m)
	if v.Expect == "error" {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("decode: %v, want a malformed message: %s", err, v.Error)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !equal(m, v.Message.message()) {
		t.Fatalf("decoded %+v\nwant %+v", m, v.Message.message())
	}
	checkNoSpare(t, m)
	if typ, err := Protobuf.Type(v.body()); err != nil || typ != m.Type {
		t.Fatalf("Type: %v, %v, want %v", typ, err, m.Type)
	}
	b, err := Protobuf.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != Size(m) {
		t.Fatalf("Size %d, encoded %d", Size(m), len(b))
	}
	if v.Name == surplus {
		return // tested with the cap, below
	}
	if !bytes.Equal(b, v.canonical()) {
		t.Fatalf("encoded %x\nwant    %x", b, v.canonical())
	}
}
