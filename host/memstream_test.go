package host

import (
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// memWindow is how many unread bytes a memStream takes before writing blocks.
const memWindow = 64 << 10

// memStream is one end of a stream in memory, with deadlines, half-close and
// reset codes. Under synctest its deadlines follow the bubble's clock.
type memStream struct {
	network.Stream // nil: what is not defined below must not be called
	in, out        *memPipe
	conn           *memConn
	scope          *memScope
	proto          protocol.ID
}

type memConn struct {
	network.Conn
	local, remote peer.ID
	addr          multiaddr.Multiaddr
	mu            sync.Mutex
	closed        bool
}

func (c *memConn) RemotePeer() peer.ID                  { return c.remote }
func (c *memConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }
func (c *memConn) IsClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *memConn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// memScope counts what is booked and refuses more than max.
type memScope struct {
	network.NullScope
	mu         sync.Mutex
	held, peak int
	max        int
	service    string
}

func (s *memScope) ReserveMemory(n int, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.max > 0 && s.held+n > s.max {
		return network.ErrResourceLimitExceeded
	}
	s.held += n
	s.peak = max(s.peak, s.held)
	return nil
}

func (s *memScope) ReleaseMemory(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held -= n; s.held < 0 {
		panic("released more memory than was reserved")
	}
}

func (s *memScope) SetService(name string) error {
	s.service = name
	return nil
}

func (s *memScope) holds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// memPair returns both ends of a stream from a to b.
func memPair(t testing.TB, a, b peer.ID) (*memStream, *memStream) {
	t.Helper()
	ab, ba := newMemPipe(), newMemPipe()
	addr := multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")
	at := &memStream{in: ba, out: ab, conn: &memConn{local: a, remote: b, addr: addr}, scope: &memScope{}, proto: "/t/1"}
	bt := &memStream{in: ab, out: ba, conn: &memConn{local: b, remote: a, addr: addr}, scope: &memScope{}, proto: "/t/1"}
	return at, bt
}

func (s *memStream) Read(b []byte) (int, error)         { return s.in.read(b) }
func (s *memStream) Write(b []byte) (int, error)        { return s.out.write(b) }
func (s *memStream) Conn() network.Conn                 { return s.conn }
func (s *memStream) Scope() network.StreamScope         { return s.scope }
func (s *memStream) Protocol() protocol.ID              { return s.proto }
func (s *memStream) SetProtocol(id protocol.ID) error   { s.proto = id; return nil }
func (s *memStream) CloseWrite() error                  { s.out.end(io.EOF); return nil }
func (s *memStream) SetReadDeadline(t time.Time) error  { s.in.read1.set(s.in, t); return nil }
func (s *memStream) SetWriteDeadline(t time.Time) error { s.out.write1.set(s.out, t); return nil }
func (s *memStream) Reset() error                       { return s.ResetWithError(0) }

func (s *memStream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

func (s *memStream) Close() error {
	s.out.end(io.EOF)
	s.in.end(io.ErrClosedPipe)
	return nil
}

func (s *memStream) ResetWithError(code network.StreamErrorCode) error {
	s.out.reset(&network.StreamError{ErrorCode: code, Remote: true})
	s.in.reset(&network.StreamError{ErrorCode: code})
	return nil
}

// memPipe is one direction.
type memPipe struct {
	mu     sync.Mutex
	moved  *sync.Cond
	data   []byte
	ended  error // after data
	broken error // at once
	read1  memDeadline
	write1 memDeadline
}

type memDeadline struct {
	timer  *time.Timer
	passed bool
}

func newMemPipe() *memPipe {
	p := &memPipe{}
	p.moved = sync.NewCond(&p.mu)
	return p
}

func (d *memDeadline) set(p *memPipe, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	left := time.Until(t)
	switch {
	case t.IsZero():
	case left <= 0:
		d.passed = true
	default:
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if d.timer == timer {
				d.passed = true
				p.moved.Broadcast()
			}
		})
		d.timer = timer
	}
	p.moved.Broadcast()
}

func (p *memPipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.broken != nil:
			return 0, p.broken
		case p.read1.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p.data) > 0:
			n := copy(b, p.data)
			p.data = p.data[n:]
			p.moved.Broadcast()
			return n, nil
		case p.ended != nil:
			return 0, p.ended
		}
		p.moved.Wait()
	}
}

func (p *memPipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		switch room := memWindow - len(p.data); {
		case p.broken != nil:
			return n, p.broken
		case p.write1.passed:
			return n, os.ErrDeadlineExceeded
		case p.ended != nil:
			return n, io.ErrClosedPipe
		case room > 0:
			m := min(room, len(b))
			p.data = append(slices.Clip(p.data), b[:m]...)
			n, b = n+m, b[m:]
			p.moved.Broadcast()
			continue
		}
		p.moved.Wait()
	}
	return n, nil
}

func (p *memPipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil {
		p.ended = err
	}
	p.stop()
}

func (p *memPipe) reset(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = err
	}
	p.stop()
}

// stop wakes all and lets no timer outlive the test; p.mu is held.
func (p *memPipe) stop() {
	p.moved.Broadcast()
	if p.broken == nil {
		return
	}
	for _, d := range []*memDeadline{&p.read1, &p.write1} {
		if d.timer != nil {
			d.timer.Stop()
			d.timer = nil
		}
	}
}
