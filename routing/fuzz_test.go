package routing

import (
	"net/netip"
	"testing"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/libp2p/go-libp2p/core/peer"
)

// FuzzServed: whatever bytes a stream brings, the whole server behind it, gate,
// queue, codecs, handlers and real stores, neither panics nor breaks a bound. The
// input is cut into requests: two bytes of length, then so many; the lowest bit of
// the first says whether it is JSON. They are put one after the other to a server
// with a table, so that later ones meet what earlier ones have stored.
func FuzzServed(f *testing.F) {
	w := newWorld(f)
	d, transport := w.start(Config{
		Filters: Filters{Profile: profile.Private},
		Serving: Serving{Limit: rpc.LimiterConfig{PerPeer: rpc.Rate{PerSecond: 1e12, Burst: 1e12}}},
	})
	neighbour := w.add()
	from := host.Sender{Peer: neighbour.id, IP: netip.MustParseAddr("127.0.0.9")}
	for _, seed := range servedSeeds(f, []byte(from.Peer), []byte(d.transport.ID())) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for n := 0; len(in) >= 2 && n < 64; n++ {
			head := int(in[0])<<8 | int(in[1])
			size := min(head>>1, len(in)-2)
			frame := in[2 : 2+size]
			in = in[2+size:]
			id := DefaultProtocol
			if head&1 == 1 {
				id = DefaultJSONProtocol
			}
			answer, _, err := transport.handlers[id](from, frame, make([]byte, 0, 512))
			checkServed(t, d, frame, answer, err)
		}
	})
}

// checkServed checks one answer to one request.
func checkServed(t *testing.T, d *DHT, frame, answer []byte, err error) {
	for _, s := range []rpc.ServerStats{d.server.main.Stats(), d.server.json.Stats()} {
		for _, of := range append(s.Types[:], s.Other) {
			if of.Panicked > 0 {
				t.Fatalf("% x: %v", frame, err)
			}
		}
	}
	if err != nil && answer != nil {
		t.Fatalf("% x: both an answer and %v", frame, err)
	}
	// The largest is an echo, or a built answer with a stored record; JSON takes four
	// thirds for base64, and escapes.
	if most := 6*(protocol.MaxAnswer+protocol.MaxValue) + 6*len(frame); len(answer) > most {
		t.Fatalf("% x: an answer of %d bytes", frame, len(answer))
	}
}

// servedSeeds are conversations in the form of FuzzServed.
func servedSeeds(f *testing.F, sender, self []byte) (seeds [][]byte) {
	key := append([]byte{0x12, 0x20}, make([]byte, 32)...)
	value := []byte("a value")
	named := []byte("/imm/61d034473102d7dac305902770471fd50f4c5b26f6831a56dd90b5184b3c30fc") // any name: it need not match
	addr := []byte{4, 127, 0, 0, 1, 6, 0x0f, 0xa1}
	messages := []*protocol.Message{
		{Type: protocol.Ping, ClusterLevel: 1},
		{Type: protocol.FindNode, Key: sender, ClusterLevel: 1},
		{Type: protocol.FindNode, Key: self},
		{Type: protocol.PutValue, Key: named, HasRecord: true, Record: protocol.Record{Key: named, Value: value, TimeReceived: []byte("x"), Unknown: []byte{0xd0, 0x05, 7}}},
		{Type: protocol.GetValue, Key: named},
		{Type: protocol.AddProvider, Key: key, ProviderPeers: []protocol.Peer{{ID: sender, Addrs: [][]byte{addr, addr}}}},
		{Type: protocol.GetProviders, Key: key},
		{Type: protocol.Ping, CloserPeers: []protocol.Peer{{ID: self, Addrs: [][]byte{addr}, Connection: 3}}, ClusterLevel: -1},
	}
	var all []byte
	for _, m := range messages {
		for json, codec := range []protocol.Codec{protocol.Protobuf, protocol.JSON} {
			b, err := codec.Append(nil, m)
			if err != nil {
				f.Fatal(err)
			}
			head := len(b)<<1 | json
			one := append([]byte{byte(head >> 8), byte(head)}, b...)
			seeds = append(seeds, one)
			all = append(all, one...)
		}
	}
	return append(seeds, all, nil, []byte{0, 2, 8}, []byte{0xff, 0xff, '['})
}

// The fuzzed server is reached: its seeds are answered in both formats.
func TestServedSeedsAreAnswered(t *testing.T) {
	w := newWorld(t)
	d, transport := w.start(Config{})
	frame, err := protocol.JSON.Append(nil, &protocol.Message{Type: protocol.Ping})
	if err != nil {
		t.Fatal(err)
	}
	from := host.Sender{Peer: peer.ID(w.add().id)}
	if answer, _, err := transport.handlers[DefaultJSONProtocol](from, frame, nil); err != nil || len(answer) == 0 {
		t.Errorf("%q, %v", answer, err)
	}
	if d.Stats().JSON.Types[protocol.Ping].Served != 1 {
		t.Errorf("%+v", d.Stats().JSON)
	}
}
