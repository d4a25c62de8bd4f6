package host

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// clientBase is the memory booked for an outbound stream as long as it lives.
const clientBase = 4 << 10

// outbound is a stream this peer has opened, from its opening through any number
// of uses to its end. Of what is below, the pool's part is guarded by the pool's
// lock, and the rest belongs to the stream's present user.
type outbound struct {
	stream network.Stream
	lazy   multistream.LazyConn // negotiates with the first bytes sent and received
	speaks func() listing       // what is known of the peer's protocols

	peer  peer.ID       // the pool's
	since time.Time     // idle since
	place *list.Element // in the list of idle streams

	frames     frameReader
	account    account
	maxFrame   int
	written    int // frames
	read       int
	negotiated bool
	ended      bool // the peer has closed its side, or this one has
	failed     bool
}

// reset discards the stream at once.
func (o *outbound) reset() { _ = o.stream.Reset() }

// close ends the stream in peace. It is for idle streams, whose negotiation is
// over.
func (o *outbound) close() { _ = o.stream.Close() }

// reusable reports whether the next request can be sent on the stream: nothing
// went wrong, both sides are open, and neither is an answer outstanding nor has
// anything arrived that nobody has asked for.
func (o *outbound) reusable() bool {
	return !o.failed && !o.ended && o.negotiated && o.read >= o.written && o.frames.empty()
}

// negotiate finishes the negotiation if it is not, which takes a round trip.
func (o *outbound) negotiate() error {
	if o.negotiated {
		return nil
	}
	if _, err := o.lazy.Read(nil); err != nil {
		return o.refusal(err)
	}
	o.negotiated = true
	return nil
}

// refusal says why negotiation has failed. A peer that does not speak the
// protocol answers "na", but as it cannot make sense of the request that follows,
// its reset may overtake that answer.
func (o *outbound) refusal(err error) error {
	var reset *network.StreamError
	switch {
	case errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	case errors.As(err, &reset) && reset.ErrorCode == network.StreamProtocolNegotiationFailed,
		errors.Is(err, network.ErrReset) && o.speaks() == unlisted:
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return unexpected(err)
}

// lease is the Stream of a pool's streams.
type lease struct {
	out    *outbound
	pool   *streamPool
	reused bool
	done   atomic.Bool
}

// Peer returns whom the stream leads to.
func (s *lease) Peer() peer.ID { return s.out.peer }

// Reused reports that the stream has carried requests before, so that its peer
// may have ended it meanwhile.
func (s *lease) Reused() bool { return s.reused }

// SetDeadline bounds all that is written and read from now on.
func (s *lease) SetDeadline(t time.Time) error { return s.out.stream.SetDeadline(t) }

// WriteFrame sends b as one frame. It does not keep b.
func (s *lease) WriteFrame(b []byte) error {
	o := s.out
	if len(b) > o.maxFrame {
		return fmt.Errorf("write frame of %d bytes: %w", len(b), ErrFrameTooLarge)
	}
	var w io.Writer = o.lazy
	if o.negotiated && o.written > 0 {
		w = o.stream
	}
	if err := writeFrame(w, b); err != nil {
		return o.fault("write frame", err)
	}
	o.written++
	return nil
}

// ReadFrame returns the next frame; the caller owns it. io.EOF means that the
// peer has closed its side in peace. The error wraps ErrUnsupported if it turns
// out only now that the peer does not speak the protocol, and
// os.ErrDeadlineExceeded if the deadline has passed.
func (s *lease) ReadFrame() ([]byte, error) {
	o := s.out
	if err := o.negotiate(); err != nil {
		return nil, o.fault("negotiate", err)
	}
	size, err := o.frames.prefix()
	if err == io.EOF {
		o.ended = true
		return nil, io.EOF
	}
	if err != nil {
		return nil, o.fault("read frame", err)
	}
	frame, ok := o.frames.inHead(size)
	if ok {
		frame = append(make([]byte, 0, size), frame...)
	} else if frame, err = o.frames.body(size, o.grow); err != nil {
		return nil, o.fault("read frame", err)
	}
	o.account.settle()
	o.read++
	return frame, nil
}

// grow provides the buffer of an arriving frame, booked before it is made.
func (o *outbound) grow(filled []byte, to int) ([]byte, error) {
	if err := o.account.hold(to); err != nil {
		return filled, err
	}
	larger := make([]byte, to)
	copy(larger, filled)
	recycle(filled)
	return larger, nil
}

// CloseWrite tells the peer that no further frame follows. Its answers can still
// be read.
func (s *lease) CloseWrite() error {
	o := s.out
	o.ended = true
	if o.written == 0 {
		_ = o.lazy.Flush() // what is wrong will be met when reading
	}
	if err := o.stream.CloseWrite(); err != nil {
		return o.fault("close stream for writing", err)
	}
	return nil
}

// Release gives the stream back. It serves the next request if every answer has
// been read and nothing went wrong; else it is ended.
func (s *lease) Release() {
	if s.done.Swap(true) {
		return
	}
	if s.out.reusable() && s.out.stream.SetDeadline(time.Time{}) == nil {
		s.pool.put(s.out)
		return
	}
	s.pool.discard(s.out)
}

// Reset discards the stream at once; reading and writing fail. It is how an
// answer that is no longer wanted is given up.
func (s *lease) Reset() {
	if s.done.Swap(true) {
		return
	}
	s.pool.discard(s.out)
}

// fault notes that the stream is of no further use, and gives the error a form
// that callers can rely on.
func (o *outbound) fault(doing string, err error) error {
	o.failed = true
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = os.ErrDeadlineExceeded
	}
	return fmt.Errorf("host: %s to %s: %w", doing, o.peer, err)
}
