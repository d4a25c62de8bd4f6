package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// againTimeout bounds the second try of Send: who takes the request and waits for us to
// close has refused it once.
const againTimeout = 2 * time.Second

// Send makes a request that has no answer, AddProvider, on a stream of its own.
// It returns nil iff the peer has read it and then closed its side cleanly, or
// has sent an AddProvider answer of whatever content, as some peers do. A peer
// that resets the stream for no stated reason once we have closed our side is told
// again with our side left open, which counts as one ask: py-libp2p takes that
// close for an error, and its reset overtakes its answer.
func (c *Client) Send(ctx context.Context, to peer.ID, req *protocol.Message) error {
	return c.do(ctx, to, req, func(ctx context.Context, frame []byte) error {
		again, err := c.tell(ctx, to, frame, Stream.CloseWrite)
		if again {
			c.counts.retries.Add(1)
			within, cancel := context.WithTimeout(ctx, againTimeout)
			defer cancel()
			if _, second := c.tell(within, to, frame, leaveOpen); !errors.Is(second, protocol.ErrTimeout) {
				err = second
			}
		}
		return err
	})
}

func leaveOpen(Stream) error { return nil }

// tell makes one try of Send; end is what is done to our side after the request.
// again means that the peer has reset the stream and said nothing else.
func (c *Client) tell(ctx context.Context, to peer.ID, frame []byte, end func(Stream) error) (again bool, err error) {
	s, done, err := c.open(ctx, to, true)
	if err != nil {
		return false, err
	}
	defer done(false)
	if err := s.WriteFrame(frame); err != nil {
		return false, failed(ctx, "write request", err)
	}
	if err := end(s); err != nil {
		return false, failed(ctx, "close our side", err)
	}
	b, err := s.ReadFrame()
	if err != nil {
		what := acknowledged(ctx, err)
		return errors.Is(what, protocol.ErrRefused) && resetByPeer(err), what
	}
	if t, err := c.codec.Type(b); err != nil {
		return false, malformed("answer", err)
	} else if t != protocol.AddProvider {
		return false, fmt.Errorf("%w: answer type %v", protocol.ErrMalformed, t)
	}
	return false, nil
}

// resetByPeer reports whether the peer has reset a stream and not said why.
func resetByPeer(err error) bool {
	var reset *network.StreamError
	return errors.As(err, &reset) && reset.Remote && reset.ErrorCode == 0
}
