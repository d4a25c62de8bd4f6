package rpc

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-varint"

	"github.com/kdht/kdht/protocol"
)

// fakePeers is an in-memory Streams. To each peer at most one idle stream is kept.
// What a peer does is in the funcs; nil ones do nothing.
type fakePeers struct {
	// open may refuse a stream.
	open func(ctx context.Context, to peer.ID, fresh bool) error
	// request is called with every frame that is written, on the writer's goroutine.
	request func(s *fakeStream, frame []byte)
	// opening is called with every new stream.
	opening func(s *fakeStream)
	// closed is called when our side of a stream is closed.
	closed func(s *fakeStream)
	// used makes new streams look as if they had served a request before.
	used bool

	mu       sync.Mutex
	idle     map[peer.ID]*fakeStream
	opened   int // streams ever
	fresh    int // times a fresh one was asked for
	live     int // in use
	maxLive  int
	released int
	resets   int
	writes   int
}

func (p *fakePeers) Open(ctx context.Context, to peer.ID, fresh bool) (Stream, error) {
	if p.open != nil {
		if err := p.open(ctx, to, fresh); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live++
	p.maxLive = max(p.maxLive, p.live)
	if fresh {
		p.fresh++
	} else if s := p.idle[to]; s != nil {
		delete(p.idle, to)
		s.idle = false
		return s, nil
	}
	p.opened++
	s := &fakeStream{
		peers: p, to: to, reused: p.used && !fresh,
		moved: make(chan struct{}, 1), over: make(chan struct{}),
	}
	if p.opening != nil {
		p.opening(s)
	}
	return s, nil
}

// fakeStream is a Stream whose other end writes bytes with send and ends it with
// finish. Its reader is as strict as wire.md §2 demands.
type fakeStream struct {
	peers *fakePeers
	to    peer.ID

	mu       sync.Mutex
	in       []byte // arrived and not read
	end      error  // what comes after in
	deadline time.Time
	reused   bool
	idle     bool
	ended    bool

	moved chan struct{} // something arrived
	over  chan struct{} // closed by Reset
	once  sync.Once
}

// send makes raw bytes arrive.
func (s *fakeStream) send(b ...byte) {
	s.mu.Lock()
	s.in = append(s.in, b...)
	s.mu.Unlock()
	s.wake()
}

// finish ends the stream after what was sent: io.EOF or a reset.
func (s *fakeStream) finish(err error) {
	s.mu.Lock()
	s.end = err
	s.mu.Unlock()
	s.wake()
}

func (s *fakeStream) wake() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

var errRemoteReset = &network.StreamError{Remote: true}

func (s *fakeStream) WriteFrame(b []byte) error {
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	if end != nil && end != io.EOF {
		return end
	}
	select {
	case <-s.over:
		return network.ErrReset
	default:
	}
	s.peers.mu.Lock()
	s.peers.writes++
	s.peers.mu.Unlock()
	if s.peers.request != nil {
		s.peers.request(s, bytes.Clone(b))
	}
	return nil
}

func (s *fakeStream) ReadFrame() ([]byte, error) {
	for {
		s.mu.Lock()
		frame, err, ok := s.cut()
		deadline := s.deadline
		s.mu.Unlock()
		if ok {
			return frame, err
		}
		if err := s.await(deadline); err != nil {
			return nil, err
		}
	}
}

// cut takes one frame off what has arrived, if it is there whole.
func (s *fakeStream) cut() (frame []byte, err error, ok bool) {
	n, size, err := varint.FromUvarint(s.in)
	switch {
	case err == varint.ErrUnderflow:
	case err != nil:
		return nil, protocol.ErrMalformed, true
	case n > protocol.MaxFrame:
		return nil, protocol.ErrTooLarge, true
	case uint64(len(s.in)-size) >= n:
		frame = bytes.Clone(s.in[size : size+int(n)])
		s.in = s.in[size+int(n):]
		return frame, nil, true
	}
	if s.end == io.EOF && len(s.in) > 0 {
		return nil, io.ErrUnexpectedEOF, true
	}
	return nil, s.end, s.end != nil
}

func (s *fakeStream) await(deadline time.Time) error {
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-s.moved:
		return nil
	case <-s.over:
		return network.ErrReset
	case <-timeout:
		return os.ErrDeadlineExceeded
	}
}

func (s *fakeStream) CloseWrite() error {
	if s.peers.closed != nil {
		s.peers.closed(s)
	}
	return nil
}

func (s *fakeStream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

func (s *fakeStream) Reused() bool { return s.reused }

func (s *fakeStream) Release() {
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	if s.ended || s.idle {
		panic("BUG: stream released twice, or after a reset")
	}
	s.peers.live--
	s.peers.released++
	s.reused, s.idle = true, true
	if s.peers.idle == nil {
		s.peers.idle = make(map[peer.ID]*fakeStream)
	}
	s.peers.idle[s.to] = s
}

func (s *fakeStream) Reset() {
	s.once.Do(func() { close(s.over) })
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	if s.idle {
		panic("BUG: idle stream reset")
	}
	if !s.ended {
		s.ended = true
		s.peers.live--
		s.peers.resets++
	}
}

// counts returns the numbers under the lock.
func (p *fakePeers) counts() (opened, live, released, resets, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened, p.live, p.released, p.resets, p.writes
}

// framed returns m as a frame with its length prefix.
func framed(m *protocol.Message) []byte {
	b, err := protocol.Protobuf.Append(nil, m)
	if err != nil {
		panic(err)
	}
	return append(varint.ToUvarint(uint64(len(b))), b...)
}

// body returns m encoded.
func body(m *protocol.Message) []byte {
	b, err := protocol.Protobuf.Append(nil, m)
	if err != nil {
		panic(err)
	}
	return b
}

// answerWith returns a request func that decodes each request and sends what f
// makes of it.
func answerWith(f func(req *protocol.Message) *protocol.Message) func(*fakeStream, []byte) {
	return func(s *fakeStream, frame []byte) {
		var req protocol.Message
		if err := protocol.Protobuf.Decode(frame, &req); err != nil {
			panic(err)
		}
		if m := f(&req); m != nil {
			s.send(framed(m)...)
		}
	}
}
