package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

// find is a FIND_NODE for key, get a GET_VALUE, put a PUT_VALUE.
func find(key string) *protocol.Message {
	return &protocol.Message{Type: protocol.FindNode, Key: []byte(key), ClusterLevel: 1}
}

func get(key string) *protocol.Message {
	return &protocol.Message{Type: protocol.GetValue, Key: []byte(key), ClusterLevel: 1}
}

func put(key, value string) *protocol.Message {
	m := &protocol.Message{Type: protocol.PutValue, Key: []byte(key), HasRecord: true, ClusterLevel: 1}
	m.Record = protocol.Record{Key: m.Key, Value: []byte(value)}
	return m
}

func provide(key string) *protocol.Message {
	return &protocol.Message{Type: protocol.AddProvider, Key: []byte(key), ClusterLevel: 1}
}

// echo answers with the request itself.
func echo(req *protocol.Message) *protocol.Message { return req }

// wantOne checks that err wraps want, and no other sentinel.
func wantOne(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, o := range outcomes {
		if o != want && errors.Is(err, o) {
			t.Errorf("%v wraps %v too", err, o)
		}
	}
}

func TestRoundTripReusesStreamAndOwnsAnswer(t *testing.T) {
	peers := &fakePeers{request: answerWith(echo)}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{})
	var first, second protocol.Message
	for key, resp := range map[string]*protocol.Message{"one": &first, "two": &second} {
		if err := c.RoundTrip(t.Context(), "p", get(key), resp); err != nil {
			t.Fatal(err)
		}
	}
	if string(first.Key) != "one" || string(second.Key) != "two" {
		t.Errorf("answers are %q and %q: a later one overwrote an earlier one", first.Key, second.Key)
	}
	if opened, live, released, resets, _ := peers.counts(); opened != 1 || live != 0 || released != 2 || resets != 0 {
		t.Errorf("%d streams opened, %d live, %d released, %d reset", opened, live, released, resets)
	}
	if got := c.Stats().Types[protocol.GetValue]; got != (Outcomes{OK: 2}) {
		t.Errorf("counted %+v", got)
	}
}

// Of an answer, however long, as much is kept as the client was told.
func TestRoundTripKeepsWhatIsLookedAt(t *testing.T) {
	peers := &fakePeers{request: answerWith(func(req *protocol.Message) *protocol.Message {
		named := []protocol.Peer{{ID: []byte("a"), Addrs: [][]byte{{1}, {2}, {3}}}, {ID: []byte("b")}, {ID: []byte("c")}}
		return &protocol.Message{Type: req.Type, CloserPeers: named, ProviderPeers: named}
	})}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{Bounds: protocol.Bounds{Closer: 2, Providers: 1, Addrs: 2}})
	var resp protocol.Message
	if err := c.RoundTrip(t.Context(), "p", find("k"), &resp); err != nil {
		t.Fatal(err)
	}
	if len(resp.CloserPeers) != 2 || len(resp.ProviderPeers) != 1 || len(resp.CloserPeers[0].Addrs) != 2 {
		t.Errorf("%d closer peers, the first at %d addresses, %d providers", len(resp.CloserPeers), len(resp.CloserPeers[0].Addrs), len(resp.ProviderPeers))
	}
}

func TestRoundTripEndsInTime(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		want  error
		after time.Duration
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		}, protocol.ErrTimeout, 3 * time.Second},
		{"no deadline", context.WithCancel, protocol.ErrTimeout, 10 * time.Second},
		{"cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled, time.Second},
	} {
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, used %v", tc.name, used), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					peers := &fakePeers{used: used}
					c := NewClient(protocol.Protobuf, peers, ClientConfig{})
					ctx, cancel := tc.ctx(t.Context())
					defer cancel()
					start := time.Now()
					wantOne(t, c.RoundTrip(ctx, "p", find("x"), new(protocol.Message)), tc.want)
					if took := time.Since(start); took != tc.after {
						t.Errorf("took %v, want %v", took, tc.after)
					}
					synctest.Wait()
					if _, live, released, resets, writes := peers.counts(); live != 0 || released != 0 || resets != 1 || writes != 1 {
						t.Errorf("%d live, %d released, %d resets, %d writes", live, released, resets, writes)
					}
					if n := len(c.budget.peers); n != 0 {
						t.Errorf("%d peers still in the budget", n)
					}
				})
			})
		}
	}
}

// TestCancelledStreamIsNotReleased: the context ends when the answer is there
// already; the answer counts, but the stream is being reset by then.
func TestCancelledStreamIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		peers := &fakePeers{request: func(s *fakeStream, frame []byte) {
			answerWith(echo)(s, frame)
			cancel()
		}}
		c := NewClient(protocol.Protobuf, peers, ClientConfig{})
		if err := c.RoundTrip(ctx, "p", find("x"), new(protocol.Message)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, _, released, resets, _ := peers.counts(); released != 0 || resets != 1 {
			t.Errorf("%d released, %d reset", released, resets)
		}
	})
}

func TestRoundTripRetriesOnceOnFreshStream(t *testing.T) {
	late := fmt.Errorf("idle: %w", network.ErrReset)
	for _, tc := range []struct {
		name   string
		ends   []error // of the tries, nil: answered
		used   bool
		want   error
		writes int
	}{
		{"reused, reset", []error{errRemoteReset, nil}, true, nil, 2},
		{"reused, plain reset", []error{late, nil}, true, nil, 2},
		{"reused, closed", []error{io.EOF, nil}, true, nil, 2},
		{"reused, reset by us", []error{&network.StreamError{}, nil}, true, nil, 2},
		{"reused, connection lost", []error{&network.ConnError{Remote: true}, nil}, true, nil, 2},
		{"reused, twice", []error{io.EOF, io.EOF}, true, protocol.ErrRefused, 2},
		{"fresh, closed", []error{io.EOF}, false, protocol.ErrRefused, 1},
		{"fresh, reset", []error{errRemoteReset}, false, protocol.ErrRefused, 1},
		{"fresh, cut short", []error{io.ErrUnexpectedEOF}, false, protocol.ErrRefused, 1},
		{"fresh, limited by the peer", []error{&network.StreamError{ErrorCode: network.StreamRateLimited, Remote: true}}, false, protocol.ErrRefused, 1},
		{"fresh, reset by us", []error{&network.StreamError{}}, false, protocol.ErrLocal, 1},
		{"fresh, out of memory", []error{network.ErrResourceLimitExceeded}, false, protocol.ErrLocal, 1},
		{"fresh, connection lost", []error{&network.ConnError{Remote: true}}, false, protocol.ErrUnreachable, 1},
		{"fresh, na", []error{fmt.Errorf("x: %w", protocol.ErrUnsupported)}, false, protocol.ErrUnsupported, 1},
		{"reused, na", []error{fmt.Errorf("x: %w", protocol.ErrUnsupported)}, true, protocol.ErrUnsupported, 1},
		{"reused, bad frame", []error{protocol.ErrMalformed}, true, protocol.ErrMalformed, 1},
		{"reused, violation", []error{violation("frame", nil)}, true, protocol.ErrMalformed, 1},
		{"reused, timeout", []error{os.ErrDeadlineExceeded}, true, protocol.ErrTimeout, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			try := 0
			peers := &fakePeers{used: tc.used}
			peers.request = func(s *fakeStream, frame []byte) {
				if err := tc.ends[try]; err != nil {
					s.finish(err)
				} else {
					answerWith(echo)(s, frame)
				}
				try++
			}
			c := NewClient(protocol.Protobuf, peers, ClientConfig{})
			err := c.RoundTrip(t.Context(), "p", find("x"), new(protocol.Message))
			if tc.want != nil {
				wantOne(t, err, tc.want)
			} else if err != nil {
				t.Fatal(err)
			}
			if _, live, _, _, writes := peers.counts(); writes != tc.writes || live != 0 {
				t.Errorf("%d writes, want %d; %d streams live", writes, tc.writes, live)
			}
			if peers.fresh != tc.writes-1 {
				t.Errorf("a fresh stream was asked for %d times", peers.fresh)
			}
			stats := c.Stats()
			if got := counted(stats.Types[protocol.FindNode]); stats.Retries != uint64(tc.writes-1) || len(got) != 1 || got[tc.want] != 1 {
				t.Errorf("counted %d retries and %v", stats.Retries, got)
			}
		})
	}
}

// TestRoundTripCannotWrite is about streams that turn out dead, or full, when the
// request is written.
func TestRoundTripCannotWrite(t *testing.T) {
	for _, tc := range []struct {
		name  string
		used  bool
		first error
		want  error
		opens int
	}{
		{"reused, reset", true, errRemoteReset, nil, 2},
		{"reused, timeout", true, os.ErrDeadlineExceeded, protocol.ErrTimeout, 1},
		{"fresh, reset", false, errRemoteReset, protocol.ErrRefused, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			peers := &fakePeers{used: tc.used, request: answerWith(echo)}
			peers.opening = func(s *fakeStream) {
				if peers.opened == 1 {
					s.end = tc.first
				}
			}
			c := NewClient(protocol.Protobuf, peers, ClientConfig{})
			err := c.RoundTrip(t.Context(), "p", find("x"), new(protocol.Message))
			if tc.want != nil {
				wantOne(t, err, tc.want)
			} else if err != nil {
				t.Fatal(err)
			}
			if peers.opened != tc.opens {
				t.Errorf("%d streams opened, want %d", peers.opened, tc.opens)
			}
		})
	}
}

func TestRoundTripSkipsStrayAnswers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		used  bool
		stray *protocol.Message
		count int
		then  bool // the answer follows
		want  error
	}{
		{"ADD_PROVIDER on a fresh stream", false, provide("old"), 2, true, nil},
		{"ADD_PROVIDER without end", false, provide("old"), 100, true, protocol.ErrMalformed},
		{"ADD_PROVIDER and nothing", true, provide("old"), 1, false, protocol.ErrMalformed},
		{"earlier answer on a reused stream", true, get("old"), 3, true, nil},
		{"earlier answer of another type", true, find("x"), 1, true, nil},
		{"earlier answer and nothing", true, get("old"), 1, false, protocol.ErrMalformed},
		{"answer to another key on a fresh stream", false, get("old"), 1, true, protocol.ErrMalformed},
		{"answer of another type on a fresh stream", false, find("x"), 1, true, protocol.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peers := &fakePeers{used: tc.used, request: func(s *fakeStream, frame []byte) {
					for range tc.count {
						s.send(framed(tc.stray)...)
					}
					if tc.then {
						answerWith(echo)(s, frame)
					}
				}}
				c := NewClient(protocol.Protobuf, peers, ClientConfig{})
				var resp protocol.Message
				err := c.RoundTrip(t.Context(), "p", get("x"), &resp)
				if tc.want != nil {
					wantOne(t, err, tc.want)
				} else if err != nil || string(resp.Key) != "x" {
					t.Fatalf("got %v, answer for %q", err, resp.Key)
				}
				if _, _, released, resets, _ := peers.counts(); released != 0 || resets != 1 {
					t.Errorf("a stream with stray answers was given back")
				}
			})
		})
	}
}

func TestMatch(t *testing.T) {
	record := func(m *protocol.Message, key, value string) *protocol.Message {
		m.HasRecord = true
		m.Record = protocol.Record{Key: []byte(key), Value: []byte(value)}
		return m
	}
	bare := func(t protocol.Type) *protocol.Message { return &protocol.Message{Type: t} }
	for _, tc := range []struct {
		name        string
		req, answer *protocol.Message
		want        verdict
	}{
		{"find without key", find("a"), bare(protocol.FindNode), answers},
		{"find with key", find("a"), find("a"), answers},
		{"find with other key", find("a"), find("b"), stray},
		{"other type", find("a"), get("a"), stray},
		{"acknowledgement", find("a"), &protocol.Message{Type: protocol.AddProvider, Key: []byte("a")}, stray},
		{"get without anything", get("a"), bare(protocol.GetValue), answers},
		{"get with record", get("a"), record(get("a"), "a", "v"), answers},
		{"get, record only", get("a"), record(bare(protocol.GetValue), "a", "v"), answers},
		{"get, other record", get("a"), record(get("a"), "b", "v"), negative},
		{"get, record without key", get("a"), record(get("a"), "", "v"), negative},
		{"put", put("a", "v"), put("a", "v"), answers},
		{"put, value only", put("a", "v"), record(bare(protocol.PutValue), "", "v"), answers},
		{"put, no record", put("a", "v"), bare(protocol.PutValue), negative},
		{"put, other value", put("a", "v"), put("a", "w"), negative},
		{"put, other record key", put("a", "v"), record(bare(protocol.PutValue), "b", "v"), negative},
		{"put of nothing", put("a", ""), put("a", ""), answers},
		{"put of nothing, no record", put("a", ""), bare(protocol.PutValue), negative},
		{"ping", bare(protocol.Ping), bare(protocol.Ping), answers},
		{"ping with key", bare(protocol.Ping), &protocol.Message{Type: protocol.Ping, Key: []byte("a")}, stray},
		{"type 99", find("a"), bare(99), stray},
	} {
		if got, reason := match(tc.req, tc.answer); got != tc.want || (got == answers) != (reason == "") {
			t.Errorf("%s: got %v (%q), want %v", tc.name, got, reason, tc.want)
		}
	}
}

func TestSend(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request func(*fakeStream, []byte)
		closed  func(*fakeStream)
		tries   int
		want    error
	}{
		{"closed", nil, func(s *fakeStream) { s.finish(io.EOF) }, 1, nil},
		{"answered", func(s *fakeStream, _ []byte) { s.send(framed(provide("other"))...) }, nil, 1, nil},
		{"reset", func(s *fakeStream, _ []byte) { s.finish(errRemoteReset) }, nil, 2, protocol.ErrRefused},
		{"reset after our close, then silence", nil, func(s *fakeStream) { s.finish(errRemoteReset) }, 3, protocol.ErrRefused},
		{"reset by chance, then taken when we close", nil, func(s *fakeStream) {
			if s.peers.fresh == 1 {
				s.finish(errRemoteReset)
			} else {
				s.finish(io.EOF)
			}
		}, 3, nil},
		{"reset with a reason", func(s *fakeStream, _ []byte) {
			s.finish(&network.StreamError{Remote: true, ErrorCode: network.StreamResourceLimitExceeded})
		}, nil, 1, protocol.ErrRefused},
		{"reset as nothing it speaks", func(s *fakeStream, _ []byte) {
			s.finish(fmt.Errorf("%w: %w", protocol.ErrUnsupported, errRemoteReset))
		}, nil, 1, protocol.ErrUnsupported},
		{"silence", nil, nil, 1, protocol.ErrTimeout},
		{"answer of another type", answerWith(func(*protocol.Message) *protocol.Message { return find("x") }), nil, 1, protocol.ErrMalformed},
		{"garbage", func(s *fakeStream, _ []byte) { s.send(2, 0xff, 0xff) }, nil, 1, protocol.ErrMalformed},
		{"cut short", func(s *fakeStream, _ []byte) { s.send(9, 8); s.finish(io.EOF) }, nil, 1, protocol.ErrRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peers := &fakePeers{used: true, request: tc.request, closed: tc.closed}
				c := NewClient(protocol.Protobuf, peers, ClientConfig{})
				err := c.Send(t.Context(), "p", provide("x"))
				if tc.want != nil {
					wantOne(t, err, tc.want)
				} else if err != nil {
					t.Fatal(err)
				}
				if peers.fresh != tc.tries {
					t.Error("not a stream of its own")
				}
				if opened, _, released, resets, writes := peers.counts(); opened != tc.tries || released != 0 || resets != tc.tries || writes != tc.tries {
					t.Errorf("%d opened, %d released, %d resets, %d writes", opened, released, resets, writes)
				}
			})
		})
	}
}

// TestSendToThoseWhoMindOurClose: py-libp2p answers an ADD_PROVIDER, sees that our side is closed, and resets the stream, which loses
// the answer. Told again by a sender that stays, it is heard.
func TestSendToThoseWhoMindOurClose(t *testing.T) {
	var closes []*fakeStream
	peers := &fakePeers{closed: func(s *fakeStream) { closes = append(closes, s); s.finish(errRemoteReset) }}
	peers.request = func(s *fakeStream, _ []byte) {
		if len(closes) > 0 {
			s.send(framed(provide("x"))...)
		}
	}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{})
	if err := c.Send(t.Context(), "p", provide("x")); err != nil {
		t.Fatal(err)
	}
	stats := c.Stats()
	if got := counted(stats.Types[protocol.AddProvider]); len(closes) != 1 || peers.fresh != 2 || stats.Retries != 1 || len(got) != 1 || got[nil] != 1 {
		t.Errorf("%d closed, %d streams, %d retries, counted %v", len(closes), peers.fresh, stats.Retries, got)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"unreachable", fmt.Errorf("dial: %w", protocol.ErrUnreachable), protocol.ErrUnreachable},
		{"unsupported", protocol.ErrUnsupported, protocol.ErrUnsupported},
		{"shut down", protocol.ErrLocal, protocol.ErrLocal},
		{"unclassified", errors.New("no route"), protocol.ErrUnreachable},
		{"timeout", os.ErrDeadlineExceeded, protocol.ErrTimeout},
		{"context's deadline", context.DeadlineExceeded, protocol.ErrTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			peers := &fakePeers{open: func(context.Context, peer.ID, bool) error { return tc.err }}
			c := NewClient(protocol.Protobuf, peers, ClientConfig{})
			wantOne(t, c.RoundTrip(t.Context(), "p", find("x"), new(protocol.Message)), tc.want)
			wantOne(t, c.Send(t.Context(), "p", provide("x")), tc.want)
			stats := c.Stats()
			for _, typ := range []protocol.Type{protocol.FindNode, protocol.AddProvider} {
				if got := counted(stats.Types[typ]); len(got) != 1 || got[tc.want] != 1 {
					t.Errorf("%v: counted %v", typ, got)
				}
			}
		})
	}
	t.Run("cancelled while opening", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		peers := &fakePeers{open: func(context.Context, peer.ID, bool) error { cancel(); return protocol.ErrUnreachable }}
		c := NewClient(protocol.Protobuf, peers, ClientConfig{})
		wantOne(t, c.RoundTrip(ctx, "p", find("x"), new(protocol.Message)), context.Canceled)
		if got := counted(c.Stats().Types[protocol.FindNode]); len(got) != 1 || got[context.Canceled] != 1 {
			t.Errorf("counted %v", got)
		}
	})
}

// counted returns o's counters that are not 0 by the errors they are for.
func counted(o Outcomes) map[error]uint64 {
	m := map[error]uint64{
		nil: o.OK, protocol.ErrUnreachable: o.Unreachable, protocol.ErrRefused: o.Refused, protocol.ErrTimeout: o.Timeout,
		protocol.ErrUnsupported: o.Unsupported, protocol.ErrMalformed: o.Malformed, protocol.ErrLocal: o.Local, context.Canceled: o.Canceled,
	}
	maps.DeleteFunc(m, func(_ error, n uint64) bool { return n == 0 })
	return m
}

func TestRequestTooLong(t *testing.T) {
	peers := &fakePeers{}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{})
	m := put("a", string(bytes.Repeat([]byte("v"), protocol.MaxFrame)))
	wantOne(t, c.RoundTrip(t.Context(), "p", m, new(protocol.Message)), protocol.ErrLocal)
	if opened, _, _, _, _ := peers.counts(); opened != 0 {
		t.Error("a stream was opened for it")
	}
}

func TestBudgetQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		var waiting []*fakeStream
		peers := &fakePeers{request: func(s *fakeStream, frame []byte) {
			var m protocol.Message
			if err := protocol.Protobuf.Decode(frame, &m); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			order = append(order, string(m.Key))
			waiting = append(waiting, s)
		}}
		c := NewClient(protocol.Protobuf, peers, ClientConfig{})
		errs := make(chan error, 41)
		for i := range 41 {
			go func() {
				errs <- c.RoundTrip(t.Context(), "p", find(fmt.Sprintf("%02d", i)), new(protocol.Message))
			}()
			synctest.Wait()
		}
		wantOne(t, <-errs, protocol.ErrLocal) // the 41st: 8 are asked, 32 queue
		if len(order) != 8 {
			t.Fatalf("%d requests under way, want 8", len(order))
		}
		if !c.Crowded() {
			t.Error("32 requests wait for the only peer asked, and that is no crowd")
		}
		// Another peer's requests do not wait for this one's.
		other := make(chan error, 1)
		go func() { other <- c.RoundTrip(t.Context(), "q", find("other"), new(protocol.Message)) }()
		synctest.Wait()
		if order[8] != "other" {
			t.Fatalf("another peer had to wait")
		}
		if c.Crowded() {
			t.Error("one of two peers is slow, and that makes a crowd")
		}
		for i := 0; i < len(waiting); i++ {
			waiting[i].send(framed(&protocol.Message{Type: protocol.FindNode})...)
			synctest.Wait()
		}
		if err := <-other; err != nil {
			t.Error(err)
		}
		for range 40 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for i, key := range append(order[:8:8], order[9:]...) {
			if want := fmt.Sprintf("%02d", i); key != want {
				t.Errorf("request number %d is %s: not first come, first served", i, key)
			}
		}
		checkIdle(t, c, 1024)
	})
}

func TestBudgetTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers := &fakePeers{}
		c := NewClient(protocol.Protobuf, peers, ClientConfig{MaxInFlight: 3, MaxQueued: 2})
		start := time.Now()
		brief, done := context.WithTimeout(t.Context(), 4*time.Second)
		defer done()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 6)
		ask := func(ctx context.Context, i int) {
			go func() {
				errs <- c.RoundTrip(ctx, peer.ID(fmt.Sprint(i)), find("x"), new(protocol.Message))
			}()
			synctest.Wait()
		}
		for i := range 3 {
			ask(t.Context(), i)
		}
		ask(brief, 3)
		ask(ctx, 4)
		ask(t.Context(), 5)
		wantOne(t, <-errs, protocol.ErrLocal) // three asked, two queued, this is the sixth
		cancel()
		wantOne(t, <-errs, context.Canceled)  // it leaves the queue at once
		wantOne(t, <-errs, protocol.ErrLocal) // it has spent its time in the queue; its peer is not to blame
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
		for range 3 {
			wantOne(t, <-errs, protocol.ErrTimeout)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		if peers.maxLive != 3 {
			t.Errorf("%d requests under way at once, want 3", peers.maxLive)
		}
		checkIdle(t, c, 3)
	})
}

func TestBudgetDeadlineInQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(protocol.Protobuf, &fakePeers{}, ClientConfig{MaxPerPeer: 1})
		first := make(chan error, 1)
		go func() { first <- c.RoundTrip(t.Context(), "p", find("x"), new(protocol.Message)) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantOne(t, c.RoundTrip(ctx, "p", find("y"), new(protocol.Message)), protocol.ErrLocal)
		wantOne(t, c.RoundTrip(ctx, "q", find("y"), new(protocol.Message)), protocol.ErrLocal) // it is over already
		wantOne(t, <-first, protocol.ErrTimeout)
		checkIdle(t, c, 1024)
	})
}

// TestBudgetPermitsComeBack: a permit that is granted to someone who has just left
// the queue goes on to the next; a peer's entry is only dropped by those who use it.
func TestBudgetPermitsComeBack(t *testing.T) {
	s := &slots{free: 1}
	take := func() chan struct{} {
		wait, ok := s.take(9)
		if !ok {
			t.Fatal("refused")
		}
		return wait
	}
	take()
	second, third := take(), take()
	s.give()        // to the second,
	s.leave(second) // who has gone
	select {
	case <-third:
	default:
		t.Error("the third waits for ever")
	}
	s.give()
	if s.free != 1 || len(s.waiting) != 0 {
		t.Errorf("%d free, %d waiting", s.free, len(s.waiting))
	}
	b := newBudget(ClientConfig{MaxPerPeer: 1, MaxInFlight: 1})
	if err := b.acquire(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	b.drop("p", &slots{free: 1})
	b.release("p")
	if len(b.peers) != 0 {
		t.Error("entry left behind")
	}
}

// checkIdle checks that all permits are back.
func checkIdle(t *testing.T, c *Client, total int) {
	t.Helper()
	synctest.Wait()
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	if n := len(c.budget.peers); n != 0 {
		t.Errorf("%d peers still in the budget", n)
	}
	if c.budget.total.free != total || len(c.budget.total.waiting) != 0 {
		t.Errorf("%d permits free, %d waiting; want %d and 0", c.budget.total.free, len(c.budget.total.waiting), total)
	}
}
