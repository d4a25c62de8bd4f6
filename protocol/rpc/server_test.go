package rpc

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kdht/kdht/protocol"
)

var (
	t0   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	from = protocol.Remote{Peer: "a peer", IP: netip.MustParseAddr("203.0.113.7")}
)

// gateFunc makes a Gate of a func.
type gateFunc func(t protocol.Type, size int) (time.Duration, error)

func (g gateFunc) Admit(_ time.Time, _ protocol.Remote, t protocol.Type, size int) (time.Duration, error) {
	return g(t, size)
}

// chargingGate charges a second for each byte of answer.
type chargingGate struct{ gateFunc }

func (chargingGate) Charge(_ time.Time, _ protocol.Remote, size int) time.Duration {
	return time.Duration(size) * time.Second
}

// echoing is what the handlers of PING and PUT_VALUE do.
func echoing(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
	resp.Echo(req)
	return nil
}

// peersOfSize appends n peers with addrs addresses of size bytes each.
func peersOfSize(list []protocol.Peer, n, addrs, size int) []protocol.Peer {
	for i := range n {
		p := protocol.Peer{ID: fmt.Appendf(nil, "%038d", i)}
		for j := range addrs {
			p.Addrs = append(p.Addrs, bytes.Repeat([]byte{byte(j)}, size))
		}
		list = append(list, p)
	}
	return list
}

// testServer answers all types: FIND_NODE with 20 small peers, GET_VALUE with
// record and key, GET_PROVIDERS with far too much.
func testServer(gate Gate) *Server {
	s := NewServer(protocol.Protobuf, gate)
	s.Handle(protocol.Ping, echoing)
	s.Handle(protocol.PutValue, echoing)
	closer := peersOfSize(nil, 20, 3, 20)
	for i := range closer {
		closer[i].Precode()
	}
	s.Handle(protocol.FindNode, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		if len(req.Key) == 0 {
			return errors.New("empty key")
		}
		resp.CloserPeers = append(resp.CloserPeers, closer...)
		return nil
	})
	value := bytes.Repeat([]byte("v"), protocol.MaxValue)
	s.Handle(protocol.GetValue, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		resp.Key = req.Key
		resp.HasRecord, resp.Record = true, protocol.Record{Key: req.Key, Value: value}
		if len(req.Key) > protocol.MaxValueKey {
			resp.HasRecord = false
		}
		return nil
	})
	s.Handle(protocol.GetProviders, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		resp.Key = req.Key
		resp.CloserPeers = peersOfSize(resp.CloserPeers, 20, 64, 100)
		resp.ProviderPeers = peersOfSize(resp.ProviderPeers, 200, 64, 100)
		return nil
	})
	s.Handle(protocol.AddProvider, func(_ time.Time, _ protocol.Remote, _, resp *protocol.Message) error {
		resp.Key = []byte("nobody reads this")
		return nil
	})
	return s
}

// decoded reads an answer.
func decoded(t *testing.T, b []byte) *protocol.Message {
	t.Helper()
	m := new(protocol.Message)
	if err := protocol.Protobuf.Decode(b, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// resetCode returns the code err carries, 0 if none.
func resetCode(err error) network.StreamErrorCode {
	var c interface{ ResetCode() uint32 }
	if errors.As(err, &c) {
		return network.StreamErrorCode(c.ResetCode())
	}
	return 0
}

func TestServeAnswers(t *testing.T) {
	s := testServer(nil)
	for _, tc := range []struct {
		name string
		req  *protocol.Message
		want func(*protocol.Message) bool
	}{
		{"find", find("k"), func(m *protocol.Message) bool {
			return len(m.CloserPeers) == 20 && m.ClusterLevel == 1 && len(m.Key) == 0
		}},
		{"level raised", &protocol.Message{Type: protocol.FindNode, Key: []byte("k")}, func(m *protocol.Message) bool { return m.ClusterLevel == 1 }},
		{"level negative", &protocol.Message{Type: protocol.FindNode, Key: []byte("k"), ClusterLevel: -1 << 31}, func(m *protocol.Message) bool { return m.ClusterLevel == 1 }},
		{"level kept", &protocol.Message{Type: protocol.FindNode, Key: []byte("k"), ClusterLevel: 7}, func(m *protocol.Message) bool { return m.ClusterLevel == 7 }},
		{"get", get("k"), func(m *protocol.Message) bool {
			return string(m.Key) == "k" && m.HasRecord && len(m.Record.Value) == protocol.MaxValue
		}},
		{"ping", &protocol.Message{Type: protocol.Ping}, func(m *protocol.Message) bool { return m.ClusterLevel == 0 }},
	} {
		b, pause, err := s.Serve(t0, from, body(tc.req), nil)
		if err != nil || pause != 0 {
			t.Fatalf("%s: %v, pause %v", tc.name, err, pause)
		}
		if m := decoded(t, b); m.Type != tc.req.Type || !tc.want(m) {
			t.Errorf("%s: got %+v", tc.name, m)
		}
	}
}

func TestServeEchoes(t *testing.T) {
	byAssignment := NewServer(protocol.Protobuf, nil)
	byAssignment.Handle(protocol.Ping, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		*resp = *req
		return nil
	})
	probe := []byte{0x08, 0x05, 0x12, 0x01, 0x78, 0xea, 0x04, 0x02, 0x41, 0x42} // wire.md, golden frames
	withPeers := body(&protocol.Message{Type: protocol.Ping, Key: []byte("k"), CloserPeers: peersOfSize(nil, 3, 2, 8), ProviderPeers: peersOfSize(nil, 1, 0, 0)})
	for _, tc := range []struct{ name, in, want string }{
		{"unknown field", string(probe), string(probe)},
		{"peers cut off", string(withPeers), "\x08\x05\x12\x01k"},
		{"no level", "\x08\x05", "\x08\x05"},
		{"level", "\x08\x05\x50\x07", "\x08\x05\x50\x07"},
		// As an int32 this is -1, which canonically takes ten bytes.
		{"shortened negative level", "\x08\x05\x50\xff\xff\xff\xff\x0f", "\x08\x05\x50\xff\xff\xff\xff\x0f"},
		{"the same with a peer", "\x08\x05\x4a\x00\x50\xff\xff\xff\xff\x0f", "\x08\x05"},
	} {
		for _, s := range []*Server{testServer(nil), byAssignment} {
			for range 2 {
				got, _, err := s.Serve(t0, from, []byte(tc.in), make([]byte, 3, 100))
				if err != nil || string(got) != tc.want {
					t.Errorf("%s: got %x (%v), want %x", tc.name, got, err, tc.want)
				}
			}
		}
	}
	in := body(put("/v/a", "value"))
	if got, _, err := testServer(nil).Serve(t0, from, in, nil); err != nil || !bytes.Equal(got, in) {
		t.Errorf("PUT_VALUE: got %x (%v), want %x", got, err, in)
	}
}

func TestServeJSON(t *testing.T) {
	s := NewServer(protocol.JSON, NewLimiter(LimiterConfig{}))
	s.Handle(protocol.Ping, echoing)
	s.Handle(protocol.GetValue, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		resp.Key = req.Key
		return nil
	})
	for in, want := range map[string]string{
		`{"type":"PING","key":"k","closerPeers":[{}]}`: `{"type":"PING","key":"k"}`,
		`{"type":5}`:                        `{"type":5}`, // never longer than the request
		`{"type":"GET_VALUE","key":"/v/a"}`: `{"type":"GET_VALUE","key":"/v/a","clusterLevel":1}`,
		`{"type":"FIND_NODE"}`:              "", // no handler
		`{"type":"PING"`:                    "",
	} {
		got, _, err := s.Serve(t0, from, []byte(in), nil)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %s (%v), want %s", in, got, err, want)
		}
	}
}

// twoFaced finds another type in a message than it decodes.
type twoFaced struct{ protocol.Codec }

func (twoFaced) Type([]byte) (protocol.Type, error) { return protocol.Ping, nil }

func TestServeWhatWasAdmitted(t *testing.T) {
	s := NewServer(twoFaced{protocol.Protobuf}, nil)
	s.Handle(protocol.Ping, echoing)
	s.Handle(protocol.FindNode, echoing)
	if b, _, err := s.Serve(t0, from, body(find("k")), nil); b != nil || !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("admitted as PING, served as FIND_NODE: %x, %v", b, err)
	}
}

func TestServeNothingForAddProvider(t *testing.T) {
	s := testServer(nil)
	b, _, err := s.Serve(t0, from, body(provide("k")), make([]byte, 0, 100))
	if b != nil || err != nil {
		t.Errorf("got %x (%v)", b, err)
	}
	if got := s.Stats().Types[protocol.AddProvider].Served; got != 1 {
		t.Errorf("served %d", got)
	}
}

func TestServeBounds(t *testing.T) {
	s := testServer(nil)
	long := body(get(strings.Repeat("k", protocol.MaxFrame-7-2)))
	if len(long) > protocol.MaxFrame {
		t.Fatal(len(long))
	}
	for name, req := range map[string][]byte{
		"providers": body(&protocol.Message{Type: protocol.GetProviders, Key: []byte("k")}),
		"get":       body(get("k")),
	} {
		b, _, err := s.Serve(t0, from, req, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m := decoded(t, b)
		m.HasRecord = false
		if n := protocol.Size(m); n > protocol.MaxAnswer {
			t.Errorf("%s: answer of %d bytes without its record", name, n)
		}
	}
	if b, _, err := s.Serve(t0, from, long, nil); b != nil || !errors.Is(err, protocol.ErrTooLarge) {
		t.Errorf("a key of 4 MiB, which go answers with as much: %d bytes, %v", len(b), err)
	}
	s.Handle(protocol.Ping, nil)
	s.Handle(protocol.GetValue, func(_ time.Time, _ protocol.Remote, _, resp *protocol.Message) error {
		resp.Unknown = make([]byte, 2*protocol.MaxAnswer)
		return nil
	})
	if b, _, err := s.Serve(t0, from, body(get("k")), nil); b != nil || !errors.Is(err, protocol.ErrTooLarge) {
		t.Errorf("an answer that cannot be trimmed: %d bytes, %v", len(b), err)
	}
	if got := s.Stats().Types[protocol.GetValue].Failed; got != 2 {
		t.Errorf("counted %d", got)
	}
}

func TestServeRefuses(t *testing.T) {
	s := testServer(nil)
	s.Handle(protocol.GetProviders, nil) // switched off
	coded := violation("bad key", nil)
	s.Handle(protocol.GetValue, func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error { return coded })
	for _, tc := range []struct {
		name  string
		frame []byte
		is    error
		code  network.StreamErrorCode
	}{
		{"type 99", []byte{0x08, 99}, ErrUnhandled, network.StreamProtocolViolation},
		{"type -1", append([]byte{0x08}, bytes.Repeat([]byte{0xff}, 9)...), nil, network.StreamProtocolViolation},
		{"switched off", body(&protocol.Message{Type: protocol.GetProviders, Key: []byte("k")}), ErrUnhandled, network.StreamProtocolViolation},
		{"garbage", []byte{0xff, 0xff, 0xff, 0xff}, protocol.ErrMalformed, network.StreamProtocolViolation},
		{"cut short", body(find("some key"))[:6], protocol.ErrMalformed, network.StreamProtocolViolation},
		{"handler says no", body(find("")), nil, 0},
		{"handler says no, with a code", body(get("k")), coded, network.StreamProtocolViolation},
	} {
		b, _, err := s.Serve(t0, from, tc.frame, nil)
		if b != nil || err == nil || tc.is != nil && !errors.Is(err, tc.is) || resetCode(err) != tc.code {
			t.Errorf("%s: %x, %v with code %#x", tc.name, b, err, resetCode(err))
		}
	}
}

func TestServeGate(t *testing.T) {
	var seen []string
	var verdict error
	s := testServer(gateFunc(func(ty protocol.Type, size int) (time.Duration, error) {
		seen = append(seen, fmt.Sprint(ty, " ", size))
		return time.Minute, verdict
	}))
	called := 0
	s.Hook(func(protocol.Remote, *protocol.Message) { called++ })
	for _, f := range [][]byte{body(find("k")), {0xff}, {0x08, 99}, {}} {
		if _, pause, _ := s.Serve(t0, from, f, nil); pause != time.Minute {
			t.Errorf("%x: pause %v", f, pause)
		}
	}
	if want := []string{"FIND_NODE 7", "-1 1", "99 2", "PUT_VALUE 0"}; !cmp.Equal(seen, want) {
		t.Errorf("gate saw %q, want %q", seen, want)
	}
	if called != 2 { // the first and the last
		t.Errorf("hook called %d times", called)
	}
	verdict = ErrLimited
	b, pause, err := s.Serve(t0, from, body(find("k")), nil)
	if b != nil || pause != time.Minute || err != ErrLimited || resetCode(err) != network.StreamRateLimited || called != 2 {
		t.Errorf("refused: %x, %v, %v; hook called %d times", b, pause, err, called)
	}
}

func TestServeCharges(t *testing.T) {
	s := testServer(chargingGate{func(protocol.Type, int) (time.Duration, error) { return 3 * time.Second, nil }})
	for frame, want := range map[string]time.Duration{
		"\x08\x05":          3 * time.Second,
		"\x08\x05\x12\x01k": 5 * time.Second,
	} {
		if _, pause, err := s.Serve(t0, from, []byte(frame), nil); pause != want || err != nil {
			t.Errorf("%x: pause %v (%v), want %v", frame, pause, err, want)
		}
	}
}

func TestServeSurvivesPanics(t *testing.T) {
	s := testServer(nil)
	s.Handle(protocol.FindNode, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		resp.CloserPeers = req.CloserPeers
		_ = req.Key[len(req.Key)] // out of range
		return nil
	})
	for range 3 {
		b, _, err := s.Serve(t0, from, body(find("k")), nil)
		var p *PanicError
		if b != nil || !errors.As(err, &p) || p.Type != protocol.FindNode || !strings.Contains(err.Error(), "index out of range") || !bytes.Contains(p.Stack, []byte("TestServeSurvivesPanics")) {
			t.Fatalf("got %x, %v", b, err)
		}
	}
	s.Hook(func(protocol.Remote, *protocol.Message) { panic("hook") })
	if _, _, err := s.Serve(t0, from, body(get("k")), nil); err == nil || !strings.Contains(err.Error(), "hook") {
		t.Errorf("panicking hook: %v", err)
	}
	if got := s.Stats(); got.Types[protocol.FindNode].Panicked != 3 || got.Types[protocol.GetValue].Panicked != 1 {
		t.Errorf("counted %+v", got)
	}
}

func TestServeStats(t *testing.T) {
	limit := false
	s := testServer(gateFunc(func(protocol.Type, int) (time.Duration, error) {
		if limit {
			return 0, ErrLimited
		}
		return 0, nil
	}))
	serve := func(b []byte) { _, _, _ = s.Serve(t0, from, b, nil) }
	serve(body(find("k")))
	serve(body(find("")))
	serve(append(body(find("k")), 0xff))
	serve([]byte{0x08, 99})
	limit = true
	serve(body(find("k")))
	want := ServerStats{Other: TypeStats{Unhandled: 1, BytesIn: 2}}
	want.Types[protocol.FindNode] = TypeStats{Served: 1, Refused: 1, Malformed: 1, Limited: 1, BytesIn: 7 + 4 + 8 + 7}
	got := s.Stats()
	want.Types[protocol.FindNode].BytesOut = got.Types[protocol.FindNode].BytesOut
	if got.Types[protocol.FindNode].BytesOut < 1000 {
		t.Errorf("bytes out: %d", got.Types[protocol.FindNode].BytesOut)
	}
	// Whether a broken frame's type can be found is the codec's affair.
	got.Types[protocol.FindNode].Malformed += got.Other.Malformed
	got.Types[protocol.FindNode].BytesIn += got.Other.BytesIn - 2
	got.Other.BytesIn, got.Other.Malformed = 2, 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHandleUnknownTypeIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewServer(protocol.Protobuf, nil).Handle(6, echoing)
}

// TestServeManyAtOnce checks that the room that requests share is never shared
// by two at once: every answer carries its own request's marks.
func TestServeManyAtOnce(t *testing.T) {
	s := NewServer(protocol.Protobuf, NewLimiter(LimiterConfig{PerPeer: Unlimited}))
	s.Handle(protocol.Ping, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		*resp = *req // the worst way to echo
		if req.ClusterLevel == 2 {
			return errors.New("two")
		}
		return nil
	})
	s.Handle(protocol.GetProviders, func(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
		resp.Key = req.Key
		resp.CloserPeers = append(resp.CloserPeers, req.ProviderPeers...)
		resp.ProviderPeers = append(resp.ProviderPeers, protocol.Peer{ID: []byte("not of the request")})
		resp.ProviderPeers = append(resp.ProviderPeers[:0], req.ProviderPeers...)
		if req.ClusterLevel == 3 && len(req.ProviderPeers) == 6 {
			panic("three")
		}
		return nil
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var out []byte
			for i := range 300 {
				req := &protocol.Message{
					Type: protocol.Ping, Key: fmt.Appendf(nil, "key %d %d", g, i), ClusterLevel: int32(i % 4),
					ProviderPeers: peersOfSize(nil, i%7, i%3, 5),
				}
				if i%2 == 1 {
					req.Type = protocol.GetProviders
				}
				b, _, err := s.Serve(t0, from, body(req), out)
				if err != nil {
					if req.ClusterLevel < 2 {
						t.Error(err)
					}
					continue
				}
				out = b
				m := decoded(t, b)
				if !bytes.Equal(m.Key, req.Key) || m.Type == protocol.GetProviders && len(m.CloserPeers) != i%7 {
					t.Errorf("asked %q, got %q with %d peers", req.Key, m.Key, len(m.CloserPeers))
				}
				for j, p := range append(m.CloserPeers, m.ProviderPeers...) {
					j %= i % 7
					if !bytes.Equal(p.ID, req.ProviderPeers[j].ID) || len(p.Addrs) != i%3 {
						t.Errorf("peer %d came back as %q with %d addresses", j, p.ID, len(p.Addrs))
					}
				}
			}
		})
	}
	wg.Wait()
}
