package host

import (
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
)

// Stats counts what became of inbound streams. Counters only grow. Streams that
// ended for what the handler answered are not told apart here: it knows why.
type Stats struct {
	// Streams and Buffered are the streams being served and the bytes held of
	// unfinished frames. Pressed says that there is pressure: more than 80 % of
	// either bound is used.
	Streams, Buffered int
	Pressed           bool
	// Accepted counts the streams let in, Ended those that their peers closed in
	// peace.
	Accepted, Ended uint64
	// Ended by this side, by reason.
	Refused Refusals
}

// Refusals are the reasons why this side resets inbound streams.
type Refusals struct {
	Full       uint64 // the peer, or all peers, had too many streams, and none was idle
	GaveWay    uint64 // the longest idle, it had to go for a new one
	Buffers    uint64 // too many bytes of unfinished frames
	Resources  uint64 // libp2p's resource manager refused
	Silent     uint64 // no whole frame, or no answer taken, in time
	Violations uint64 // a length or a frame that breaks the protocol
	Handler    uint64 // the handler refused a request
}

// outcomes is Stats while it is being counted.
type outcomes struct {
	accepted, ended                                            atomic.Uint64
	full, gaveWay, buffers, resources, silent, broken, handler atomic.Uint64
}

// Stats returns a snapshot. Each counter is exact; together they are as of
// slightly different moments.
func (e *Endpoint) Stats() Stats {
	v := e.server
	o := &v.outcomes
	s := Stats{
		Pressed: v.pressed.Load(), Accepted: o.accepted.Load(), Ended: o.ended.Load(),
		Refused: Refusals{
			Full: o.full.Load(), GaveWay: o.gaveWay.Load(), Buffers: o.buffers.Load(), Resources: o.resources.Load(),
			Silent: o.silent.Load(), Violations: o.broken.Load(), Handler: o.handler.Load(),
		},
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s.Streams, s.Buffered = v.count, v.buffered
	return s
}

// note counts how a stream ended. What the peer itself cut off, with its connection
// or alone, and the end of serving, count for nobody.
func (o *outcomes) note(err error) {
	var coded interface{ ResetCode() uint32 }
	var timeout net.Error
	switch {
	case err == io.EOF:
		o.ended.Add(1)
	case errors.As(err, &coded):
		o.handler.Add(1)
	case errors.Is(err, errFull):
		o.full.Add(1)
	case errors.Is(err, errGaveWay):
		o.gaveWay.Add(1)
	case errors.Is(err, errBuffered):
		o.buffers.Add(1)
	case errors.Is(err, network.ErrResourceLimitExceeded):
		o.resources.Add(1)
	case errors.Is(err, ErrFramePrefix), errors.Is(err, ErrFrameTooLarge), errors.Is(err, io.ErrUnexpectedEOF):
		o.broken.Add(1)
	case errors.As(err, &timeout) && timeout.Timeout():
		o.silent.Add(1)
	case errors.Is(err, network.ErrReset), errors.Is(err, errStopped), errors.Is(err, errLost):
	default:
		o.handler.Add(1)
	}
}
