package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/kdht/kdht/protocol"
)

var same = cmp.Options{cmpopts.IgnoreUnexported(protocol.Message{}, protocol.Peer{}), cmpopts.EquateEmpty()}

func messages() []*protocol.Message {
	p := protocol.Peer{ID: []byte("someone"), Addrs: [][]byte{[]byte("here"), []byte("there")}, Connection: protocol.Connected}
	return []*protocol.Message{
		{Type: protocol.Ping},
		{Type: protocol.FindNode, Key: []byte("k"), ClusterLevel: 1, CloserPeers: []protocol.Peer{p, p}},
		{Type: protocol.GetProviders, Key: []byte("k"), CloserPeers: []protocol.Peer{p}, ProviderPeers: []protocol.Peer{p, {}, p}},
		{Type: protocol.PutValue, Key: []byte("k"), HasRecord: true, Record: protocol.Record{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), protocol.MaxValue), TimeReceived: []byte("t")}},
	}
}

func TestThereAndBack(t *testing.T) {
	var got protocol.Message // used again and again, as a server does
	for _, m := range messages() {
		b, err := cborCodec{}.Append([]byte("before"), m)
		if err != nil {
			t.Fatal(err)
		}
		frame := bytes.TrimPrefix(b, []byte("before"))
		if err := (cborCodec{}).Decode(frame, &got); err != nil || !cmp.Equal(m, &got, same) {
			t.Errorf("%v:\n%s", err, cmp.Diff(m, &got, same))
		}
		if of, err := (cborCodec{}).Type(frame); err != nil || of != m.Type {
			t.Errorf("type %v, %v; want %v", of, err, m.Type)
		}
		// Every cut of it, and one byte more, is refused and does not panic.
		for n := range min(len(frame), 300) {
			if err := (cborCodec{}).Decode(frame[:n], &got); !errors.Is(err, protocol.ErrMalformed) {
				t.Fatalf("%v, cut after %d of %d bytes: %v", m.Type, n, len(frame), err)
			}
		}
		if err := (cborCodec{}).Decode(append(frame, 0), &got); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%v with a byte behind it: %v", m.Type, err)
		}
	}
}

func TestBounds(t *testing.T) {
	m := messages()[2]
	b, err := cborCodec{}.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	got := protocol.Message{Bounds: protocol.Bounds{Closer: 1, Providers: 2, Addrs: 1}}
	if err := (cborCodec{}).Decode(b, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.CloserPeers) != 1 || len(got.ProviderPeers) != 2 || len(got.ProviderPeers[0].Addrs) != 1 {
		t.Errorf("kept %d closer peers, %d providers, %d addresses", len(got.CloserPeers), len(got.ProviderPeers), len(got.ProviderPeers[0].Addrs))
	}
	m.Key = make([]byte, longest)
	if _, err := (cborCodec{}).Append(nil, m); !errors.Is(err, protocol.ErrTooLarge) {
		t.Errorf("a frame beyond the limit was made: %v", err)
	}
	if err := (cborCodec{}).Decode(make([]byte, longest+1), &got); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("a frame beyond the limit was read: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range messages()[:3] {
		b, err := cborCodec{}.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m protocol.Message
		if err := (cborCodec{}).Decode(b, &m); err != nil {
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := cborCodec{}.Append(nil, &m)
		if errors.Is(err, protocol.ErrTooLarge) {
			return // what was written shorter than we do
		}
		var back protocol.Message
		if err := errors.Join(err, cborCodec{}.Decode(again, &back)); err != nil || !cmp.Equal(&m, &back, same) {
			t.Errorf("%v:\n%s", err, cmp.Diff(&m, &back, same))
		}
	})
}
