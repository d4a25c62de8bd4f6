package host

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Why an inbound stream is turned away or ended by this side, other than for
// what was in it.
var (
	errStopped  = errors.New("serving has stopped")
	errFull     = errors.New("too many inbound streams")
	errGaveWay  = errors.New("idle stream gave way to a new one")
	errBuffered = errors.New("too many bytes of unfinished frames")
	errLost     = errors.New("the connection has ended")
)

// inbound is one stream being served. Its goroutine alone reads, writes and
// resets it; others send it away by kick.
type inbound struct {
	stream network.Stream
	proto  protocol.ID
	peer   peer.ID

	// state is one of the constants below, or the instant (Unix nanoseconds) from
	// which the stream has waited for its peer: to send a whole frame, to take an
	// answer, or to be allowed to send again.
	state atomic.Int64
	gone  chan struct{} // closed by kick
	// buffered is what the registry has granted for the frame being received; its
	// lock guards it.
	buffered int
}

const (
	busy    int64 = 0  // a frame is being handled
	gaveWay int64 = -1 // kicked, for another stream
	stopped int64 = -2 // kicked, because serving has stopped
	lost    int64 = -3 // kicked, because its connection has ended
)

func newInbound(s network.Stream, now time.Time) *inbound {
	in := &inbound{stream: s, proto: s.Protocol(), peer: s.Conn().RemotePeer(), gone: make(chan struct{})}
	in.state.Store(now.UnixNano())
	return in
}

// kick ends the stream after its state has said why: whatever its goroutine waits
// for fails at once, and the goroutine resets it. It never blocks.
func (in *inbound) kick() {
	close(in.gone)
	_ = in.stream.SetDeadline(time.Unix(1, 0))
}

// kicked tells why the stream was sent away, or nil.
func (in *inbound) kicked() error {
	switch in.state.Load() {
	case gaveWay:
		return errGaveWay
	case stopped:
		return errStopped
	case lost:
		return errLost
	}
	return nil
}

// begin marks the stream as handling a frame, or tells why it must not.
func (in *inbound) begin() error {
	since := in.state.Load()
	if since > busy && in.state.CompareAndSwap(since, busy) {
		return nil
	}
	return in.kicked()
}

// rest marks the stream as waiting for its peer, or tells why it must not.
func (in *inbound) rest(now time.Time) error {
	if in.state.CompareAndSwap(busy, now.UnixNano()) {
		return nil
	}
	return in.kicked()
}

// readBy and writeBy set deadlines, or tell that the stream has been sent away.
// They look at the state last: whoever changes it later sets a deadline that
// outlives this one.
func (in *inbound) readBy(t time.Time) error {
	if err := in.stream.SetReadDeadline(t); err != nil {
		return err
	}
	return in.kicked()
}

func (in *inbound) writeBy(t time.Time) error {
	if err := in.stream.SetWriteDeadline(t); err != nil {
		return err
	}
	return in.kicked()
}
