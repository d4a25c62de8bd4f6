package host

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	pool "github.com/libp2p/go-buffer-pool"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// serveBase is the memory booked for a served stream as long as it lives; a
	// request and an answer of usual size need no more.
	serveBase = 8 << 10
	// usualAnswer is the room given for a stream's first answer: an answer of
	// twenty peers takes 2.2 KiB (performance.md §2.1).
	usualAnswer = 4 << 10
	// hastyFirst, hastyFrame are what is left of the idle timeout under pressure:
	// for a stream's first byte, and for a started frame beyond a second per KiB
	// (wire.md §22, reliability.md P4).
	hastyFirst = 10 * time.Second
	hastyFrame = 5 * time.Second
)

// server answers inbound streams: each on the goroutine libp2p gives it, its
// frames one after the other.
type server struct {
	registry
	cfg     Config
	running sync.WaitGroup // one for each goroutine in serve; added to under registry.mu while open
}

func newServer(cfg Config) *server {
	return &server{cfg: cfg, registry: registry{
		perPeer:     cfg.MaxInboundPerPeer,
		total:       cfg.MaxInbound,
		maxBuffered: cfg.MaxBuffered,
		peers:       make(map[peer.ID]*inboundPeer),
	}}
}

// wait returns when no stream is being served any more.
func (v *server) wait() { v.running.Wait() }

// serve answers the frames of one stream until it ends, then closes it if the
// peer ended it between two frames, and resets it otherwise (wire.md §5).
func (v *server) serve(s network.Stream, handle FrameHandler) {
	v.running.Add(1)
	defer v.running.Done()
	in := &inbound{stream: s, proto: s.Protocol(), peer: s.Conn().RemotePeer(), gone: make(chan struct{})}
	err := v.add(in)
	if err == nil {
		err = v.converse(in, handle)
		v.remove(in)
	}
	if err == nil {
		_ = s.Close()
		return
	}
	_ = s.ResetWithError(resetCode(err))
}

// converse reads, answers and waits until the stream ends. It returns nil when
// the peer has closed its side between two frames.
func (v *server) converse(in *inbound, handle FrameHandler) error {
	if err := in.stream.Scope().SetService(serviceName); err != nil {
		return err
	}
	c := &conversation{
		server: v, in: in,
		from:    sender(in.stream.Conn()),
		frames:  frameReader{src: in.stream, max: uint64(v.cfg.MaxFrame)},
		account: account{scope: in.stream.Scope(), prio: network.ReservationPriorityMedium, base: serveBase},
		room:    usualAnswer,
	}
	if err := c.account.hold(serveBase); err != nil {
		return err
	}
	for {
		switch err := c.exchange(handle); {
		case err == nil:
		case in.since.Load() == sentAway:
			return errGaveWay
		case err == io.EOF:
			return nil
		default:
			return err
		}
	}
}

// conversation is the state of one served stream between its frames. It belongs
// to the stream's goroutine.
type conversation struct {
	server  *server
	in      *inbound
	from    Sender
	frames  frameReader
	account account
	room    int  // for the next answer
	later   bool // a whole frame has been received
}

// exchange reads one frame and answers it. io.EOF means that the peer closed its
// side before the frame.
func (c *conversation) exchange(handle FrameHandler) error {
	frame, buf, err := c.read()
	if err != nil {
		recycle(buf)
		return err
	}
	pause, err := c.answer(handle, frame)
	if buf != nil {
		recycle(buf)
		if c.in.buffered > 0 {
			_ = c.server.buffer(c.in, 0)
		}
	}
	c.account.settle()
	if err == nil && pause > 0 {
		err = c.wait(pause)
	}
	return err
}

// read returns the next frame and the buffer it is in, which is nil if it is in
// the reader's head.
func (c *conversation) read() (frame, buf []byte, err error) {
	now := time.Now()
	due := now.Add(c.patience())
	if err := c.in.stream.SetReadDeadline(due); err != nil {
		return nil, nil, err
	}
	if !c.in.idle(now) {
		return nil, nil, errGaveWay
	}
	size, err := c.frames.prefix()
	if err != nil {
		return nil, nil, err
	}
	frame, ok := c.frames.inHead(size)
	if !ok {
		if err := c.hasten(due, size); err != nil {
			return nil, nil, err
		}
		if buf, err = c.frames.body(size, c.grow); err != nil {
			return nil, buf, err
		}
		frame = buf
	}
	if !c.in.begin() {
		return nil, buf, errGaveWay
	}
	c.later = true
	return frame, buf, nil
}

// patience is how long the next whole frame may take.
func (c *conversation) patience() time.Duration {
	idle := c.server.cfg.IdleTimeout
	switch {
	case !c.server.pressed.Load():
		return idle
	case c.later:
		return idle / 2
	}
	return min(idle, hastyFirst)
}

// hasten moves the deadline of a frame that has begun to arrive forward if the
// server is under pressure.
func (c *conversation) hasten(due time.Time, size int) error {
	if !c.server.pressed.Load() {
		return nil
	}
	hasty := time.Now().Add(hastyFrame + time.Duration(size>>10)*time.Second)
	if hasty.After(due) {
		return nil
	}
	return c.in.stream.SetReadDeadline(hasty)
}

// grow provides the buffer of an arriving frame, booked before it is made.
func (c *conversation) grow(filled []byte, to int) ([]byte, error) {
	if to > serveBase/2 {
		if err := c.server.buffer(c.in, to); err != nil {
			return filled, err
		}
		if err := c.account.hold(serveBase/2 + to); err != nil {
			return filled, err
		}
	}
	if to > maxPooled {
		return grown(make([]byte, to), filled), nil
	}
	return grown(pool.Get(to), filled), nil
}

// grown moves what is filled of one buffer into a larger one.
func grown(larger, filled []byte) []byte {
	copy(larger, filled)
	if filled != nil {
		recycle(filled)
	}
	return larger
}

// answer has the frame handled and writes what the handler answers.
func (c *conversation) answer(handle FrameHandler, frame []byte) (time.Duration, error) {
	buf := pool.Get(prefixRoom + c.room)
	defer recycle(buf)
	out := buf[prefixRoom:prefixRoom:cap(buf)]
	answer, pause, err := handle(c.from, frame, out)
	switch {
	case err != nil:
		return 0, err
	case answer == nil:
		return pause, nil
	case len(answer) > c.server.cfg.MaxFrame:
		return 0, ErrFrameTooLarge
	case c.in.since.Load() == sentAway:
		return 0, errGaveWay
	}
	if err := c.account.hold(serveBase/2 + len(frame) + len(answer)); err != nil {
		return 0, err
	}
	if err := c.in.stream.SetWriteDeadline(time.Now().Add(c.server.cfg.WriteTimeout)); err != nil {
		return 0, err
	}
	if len(answer) > 0 && &answer[0] == &out[:1][0] {
		_, err = c.in.stream.Write(prefixed(buf[:cap(buf)], len(answer)))
	} else {
		err = writeFrame(c.in.stream, answer)
	}
	c.room = min(max(c.room, len(answer)), maxPooled-prefixRoom)
	return pause, err
}

// wait delays the stream's next read. A stream that waits counts as idle.
func (c *conversation) wait(pause time.Duration) error {
	if !c.in.idle(time.Now()) {
		return errGaveWay
	}
	timer := time.NewTimer(min(pause, c.server.cfg.IdleTimeout))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.in.gone:
		return errGaveWay
	}
	if !c.in.begin() {
		return errGaveWay
	}
	return nil
}

// resetCode is what a reset stream tells the peer of err: the error's own code
// if it has one, else by kind.
func resetCode(err error) network.StreamErrorCode {
	var coded interface{ ResetCode() uint32 }
	var timeout net.Error
	switch {
	case errors.As(err, &coded):
		return network.StreamErrorCode(coded.ResetCode())
	case errors.Is(err, ErrFramePrefix), errors.Is(err, ErrFrameTooLarge), errors.Is(err, io.ErrUnexpectedEOF):
		return network.StreamProtocolViolation
	case errors.Is(err, errFull), errors.Is(err, errBuffered), errors.Is(err, network.ErrResourceLimitExceeded):
		return network.StreamResourceLimitExceeded
	case errors.Is(err, errStopped):
		return network.StreamShutdown
	case errors.Is(err, errGaveWay), errors.As(err, &timeout) && timeout.Timeout():
		return network.StreamGarbageCollected
	}
	return network.StreamNoError
}

// sender names the origin of what arrives over c.
func sender(c network.Conn) Sender {
	return Sender{Peer: c.RemotePeer(), IP: remoteIP(c.RemoteMultiaddr())}
}

// remoteIP is the address a connection comes from, the zero Addr if that is a
// relay's or none.
func remoteIP(a multiaddr.Multiaddr) (ip netip.Addr) {
	if a == nil {
		return ip
	}
	multiaddr.ForEach(a, func(c multiaddr.Component) bool {
		switch c.Protocol().Code {
		case multiaddr.P_IP4, multiaddr.P_IP6:
			if !ip.IsValid() {
				ip, _ = netip.AddrFromSlice(c.RawValue())
				ip = ip.Unmap()
			}
		case multiaddr.P_CIRCUIT:
			ip = netip.Addr{}
			return false
		}
		return true
	})
	return ip
}
