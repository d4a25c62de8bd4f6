package protocol

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// wide returns peers of n addresses of size bytes each, marked so that the
// first addresses can be told from the others.
func wide(peers, n, size int) (list []Peer) {
	for range peers {
		p := Peer{ID: unhex(idHex), Connection: Connected}
		for i := range n {
			p.Addrs = append(p.Addrs, bytes.Repeat([]byte{byte(i)}, size))
		}
		list = append(list, p)
	}
	return list
}

func TestTrim(t *testing.T) {
	value := &Record{Value: make([]byte, MaxValue)}
	tests := []struct {
		about             string
		closer, providers []Peer
		record            *Record
		// What is left: peers, providers, and addresses of the first.
		wantCloser, wantProviders, wantAddrs int
		limit                                int
	}{
		{"an ordinary answer stays", wide(20, 16, 20), nil, nil, 20, 0, 16, AnswerTarget},
		{"a record is not counted", wide(20, 16, 20), nil, value, 20, 0, 16, AnswerTarget + MaxValue + 10},
		{"addresses go first", wide(20, 16, 60), nil, nil, 20, 0, 4, AnswerTarget},
		{"of providers too", wide(20, 16, 40), wide(32, 16, 40), nil, 20, 32, 4, AnswerTarget},
		{"then providers", wide(20, 16, 100), wide(32, 16, 100), nil, 20, 16, 4, AnswerTarget},
		{"unless closer peers alone are too many", wide(20, 16, 250), wide(10, 16, 250), nil, 20, 10, 4, MaxAnswer},
		{"above the hard limit providers", wide(20, 4, 600), wide(10, 4, 600), nil, 20, 6, 4, MaxAnswer},
		{"and then closer peers", wide(20, 4, 1200), wide(10, 4, 1200), nil, 13, 0, 4, MaxAnswer},
		{"of providers one is left", nil, wide(1, 4, 2000), nil, 0, 1, 4, MaxAnswer},
	}
	for _, test := range tests {
		for _, precoded := range []bool{false, true} {
			m := &Message{Type: GetProviders, Key: []byte("key"), ClusterLevel: 1}
			m.CloserPeers, m.ProviderPeers = clonePeers(test.closer, precoded), clonePeers(test.providers, precoded)
			if test.record != nil {
				m.Record, m.HasRecord = *test.record, true
			}
			Trim(m)
			first := append(m.CloserPeers, m.ProviderPeers...)[0].Addrs
			if len(m.CloserPeers) != test.wantCloser || len(m.ProviderPeers) != test.wantProviders || len(first) != test.wantAddrs {
				t.Errorf("%s (precoded %t): left %d closer peers, %d providers, %d addresses; want %d, %d, %d", test.about, precoded,
					len(m.CloserPeers), len(m.ProviderPeers), len(first), test.wantCloser, test.wantProviders, test.wantAddrs)
			}
			if b, err := Protobuf.Append(nil, m); err != nil || len(b) > test.limit || len(b) != Size(m) {
				t.Errorf("%s (precoded %t): %d bytes (Size %d), at most %d, %v", test.about, precoded, len(b), Size(m), test.limit, err)
			}
			for i, addr := range first {
				if addr[0] != byte(i) {
					t.Errorf("%s: address %d is in place %d", test.about, addr[0], i)
				}
			}
		}
	}
}

// A long key must not cost the only peer of an answer its addresses.
func TestTrimKeepsSolePeer(t *testing.T) {
	m := &Message{Key: make([]byte, AnswerTarget), CloserPeers: wide(1, 30, 100)}
	if Trim(m); len(m.CloserPeers) != 1 || len(m.CloserPeers[0].Addrs) != 30 {
		t.Errorf("left %d addresses", len(m.CloserPeers[0].Addrs))
	}
}

func clonePeers(list []Peer, precode bool) (clones []Peer) {
	for i := range list {
		c := list[i].Clone()
		if precode {
			c.Precode()
		}
		clones = append(clones, c)
	}
	return clones
}

// Whatever an answer holds, Trim brings it within MaxAnswer and keeps a prefix
// of each list and of each peer's addresses.
func TestTrimBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (list []Peer) {
			for range rapid.IntRange(0, 4).Draw(t, name) {
				part := wide(rapid.IntRange(0, 20).Draw(t, "peers"), rapid.IntRange(0, 70).Draw(t, "addrs"), rapid.IntRange(1, 900).Draw(t, "size"))
				list = append(list, part...)
			}
			return list
		}
		m := &Message{Key: make([]byte, rapid.IntRange(0, 1024).Draw(t, "key")), CloserPeers: draw("closer"), ProviderPeers: draw("providers")}
		before, size := *m, Size(m)
		Trim(m)
		if Size(m) > MaxAnswer {
			t.Fatalf("%d bytes left", Size(m))
		}
		if size <= AnswerTarget && (Size(m) != size) {
			t.Fatalf("%d bytes trimmed to %d", size, Size(m))
		}
		if len(m.CloserPeers) > len(before.CloserPeers) || len(m.ProviderPeers) > len(before.ProviderPeers) {
			t.Fatal("peers added")
		}
		if len(before.CloserPeers) > 0 && len(m.CloserPeers) == 0 {
			t.Fatal("no closer peer left")
		}
	})
}
