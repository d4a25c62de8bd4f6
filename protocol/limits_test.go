package protocol

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// hostileBodies are messages that cost the most for their size.
func hostileBodies(size int) map[string][]byte {
	fill := func(unit []byte) []byte { return bytes.Repeat(unit, size/len(unit)) }
	wrap := func(tag byte, inner []byte) []byte {
		return append(protowire.AppendVarint([]byte{tag}, uint64(len(inner))), inner...)
	}
	return map[string][]byte{
		"empty closer peers":     fill([]byte{tagCloser, 0}),
		"both kinds in turn":     fill([]byte{tagCloser, 0, tagProvider, 0}),
		"peers of one address":   fill([]byte{tagCloser, 2, tagPeerAddr, 0}),
		"one peer, empty addrs":  wrap(tagCloser, fill([]byte{tagPeerAddr, 0})),
		"types":                  fill([]byte{tagType, 1}),
		"unknown between known":  fill([]byte{0x58, 1, tagType, 1}),
		"unknown in record":      fill([]byte{tagRecord, 4, 0x58, 1, tagRecordKey, 0}),
		"records with unknown":   fill([]byte{tagRecord, 2, 0x58, 1}),
		"unknown in peers":       fill([]byte{tagCloser, 6, 0x58, 1, tagPeerID, 0, 0x58, 1}),
		"groups":                 fill([]byte{0x5b, 0x5c}),
		"peers that are unknown": fill([]byte{tagCloser, 2, 0x58, 1}),
	}
}

// What decoding allocates is bounded by the size of the frame.
func TestDecodeMemory(t *testing.T) {
	for _, size := range []int{1 << 10, 1 << 14, 1 << 18, 1 << 20} {
		for name, body := range hostileBodies(size) {
			if n := allocated(func() { decodeHostile(t, name, body) }); n > 10*uint64(size)+64<<10 {
				t.Errorf("%s: %d bytes allocated for a frame of %d", name, n, size)
			}
		}
		limit := 12*uint64(size) + 64<<10
		text := `{"closerPeers":[{}` + strings.Repeat(",{}", size/3-10) + `]}`
		if n := allocated(func() { decodeHostileJSON(t, text) }); n > limit {
			t.Errorf("JSON: %d bytes allocated for a frame of %d", n, size)
		}
		half := `[{"addrs":["/ws"]}` + strings.Repeat(`,{"addrs":["/ws"]}`, size/40-1) + `]`
		text = `{"closerPeers":` + half + `,"providerPeers":` + half + `}`
		if n := allocated(func() { decodeHostileJSON(t, text) }); n > limit {
			t.Errorf("JSON of both kinds: %d bytes allocated for a frame of %d", n, size)
		}
		text = `{"closerPeers":[{"addrs":["/ws"` + strings.Repeat(`,"/ws"`, size/6-10) + `]}]}`
		if n := allocated(func() { decodeHostileJSON(t, text) }); n > limit {
			t.Errorf("JSON addresses: %d bytes allocated for a frame of %d", n, size)
		}
	}
}

func decodeHostile(t *testing.T, name string, body []byte) {
	m := new(Message)
	if err := Protobuf.Decode(body, m); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	checkRoom(t, m, len(body))
}

func decodeHostileJSON(t *testing.T, text string) {
	m := new(Message)
	if err := JSON.Decode([]byte(text), m); err != nil {
		t.Error(err)
	}
	checkRoom(t, m, len(text))
}

func checkRoom(t *testing.T, m *Message, size int) {
	if len(m.CloserPeers)+len(m.ProviderPeers) > peerRoom(size) || countAddrs(m) > addrRoom(size) || len(m.addrs) != countAddrs(m) {
		t.Errorf("%d and %d peers with %d addresses kept of %d bytes", len(m.CloserPeers), len(m.ProviderPeers), countAddrs(m), size)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Peers that an honest frame holds are all kept, up to MaxPeers, and in order;
// the surplus is still checked.
func TestSurplusPeers(t *testing.T) {
	m := answer(MaxPeers + 10)
	frame, err := Protobuf.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	var got Message
	if err := Protobuf.Decode(frame, &got); err != nil {
		t.Fatal(err)
	}
	m.CloserPeers = m.CloserPeers[:MaxPeers]
	if !equal(&got, m) {
		t.Errorf("%d peers kept of %d bytes", len(got.CloserPeers), len(frame))
	}
	frame[len(frame)-1] = 0x80 // the last connection does not end
	if err := Protobuf.Decode(frame, &got); !errors.Is(err, ErrMalformed) {
		t.Errorf("a malformed surplus peer: %v", err)
	}
}

// What is asked for is kept of an answer, from the front, and no room is made for the
// rest, whose end must be there; the bounds outlast the message.
func TestBounds(t *testing.T) {
	m := answer(3000)
	m.ProviderPeers = slices.Clone(m.CloserPeers[1000:])
	for i := range m.CloserPeers {
		m.CloserPeers[i].Addrs = slices.Repeat(m.CloserPeers[i].Addrs[:1], 1+i%5)
	}
	want := Message{Type: m.Type, Key: m.Key, ClusterLevel: m.ClusterLevel, Bounds: Bounds{Closer: 21, Providers: 40, Addrs: 3}}
	for _, p := range m.CloserPeers[:21] {
		p.Addrs = p.Addrs[:min(3, len(p.Addrs))]
		want.CloserPeers = append(want.CloserPeers, p)
	}
	for _, p := range m.ProviderPeers[:40] {
		p.Addrs = p.Addrs[:3]
		want.ProviderPeers = append(want.ProviderPeers, p)
	}
	for _, codec := range []Codec{Protobuf, JSON} {
		b, err := codec.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		got := Message{Bounds: want.Bounds}
		n := allocated(func() { err = codec.Decode(b, &got) })
		if err != nil || !equal(&got, &want) || got.Bounds != want.Bounds {
			t.Errorf("%s: %d and %d peers kept, %v", codec.Name(), len(got.CloserPeers), len(got.ProviderPeers), err)
		}
		if codec == Protobuf && n > 64<<10 {
			t.Errorf("%d bytes allocated for %d", n, len(b))
		}
		if err := codec.Decode(b[:len(b)-3], &got); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a malformed rest: %v", codec.Name(), err)
		}
	}
}

// Nothing is allocated for an ordinary message, decoded into one used before or
// encoded into a buffer with room.
func TestNoAllocations(t *testing.T) {
	for name, m := range map[string]*Message{"answer": answer(21), "request": request(), "rust record": {
		Type: GetValue, HasRecord: true, Record: Record{Key: []byte("k"), Unknown: unhex("d2290166c83007")},
	}} {
		buf, err := Protobuf.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		var into Message
		if n := testing.AllocsPerRun(100, func() { err = errors.Join(err, Protobuf.Decode(buf, &into)) }); n != 0 || err != nil {
			t.Errorf("%s: decoding allocates %v times, %v", name, n, err)
		}
		out := make([]byte, 0, len(buf))
		if n := testing.AllocsPerRun(100, func() { _, _ = Protobuf.Append(out, m) }); n != 0 {
			t.Errorf("%s: encoding allocates %v times", name, n)
		}
		text, err := JSON.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		room := cap(into.text)
		for range 2 {
			if err := JSON.Decode(text, &into); err != nil {
				t.Fatal(err)
			}
			if cap(into.text) == 0 || (room > 0 && cap(into.text) != room) {
				t.Errorf("%s: the room for text went from %d to %d", name, room, cap(into.text))
			}
			room = cap(into.text)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = Protobuf.Type(buf); _, _ = JSON.Type(text) }); n != 0 {
			t.Errorf("%s: finding the type allocates %v times", name, n)
		}
	}
}

func TestTooLongToDecode(t *testing.T) {
	body := append([]byte{tagKey}, protowire.AppendVarint(nil, MaxFrame-5)...)
	body = append(body, make([]byte, MaxFrame-5)...)
	if err := Protobuf.Decode(body, new(Message)); len(body) != MaxFrame || err != nil {
		t.Errorf("%d bytes: %v", len(body), err)
	}
	body = append(body, tagType, 1)
	for _, c := range []Codec{Protobuf, JSON} {
		if err := c.Decode(body, new(Message)); !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
}
