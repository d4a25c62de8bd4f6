package rpc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The second try of Send closes our side late, since there are those who wait for that and
// have reset the first one by chance, and takes so long at most.
const (
	closeLate    = 500 * time.Millisecond
	againTimeout = 2 * time.Second
)

// Send makes a request that has no answer, AddProvider, on a stream of its own.
// It returns nil iff the peer has read it and then closed its side cleanly, or
// has sent an AddProvider answer of whatever content, as some peers do. A peer
// that resets the stream for no stated reason once we have closed our side is told
// again with our side left open for a while, which counts as one ask: py-libp2p takes that
// close for an error, and its reset overtakes its answer.
func (c *Client) Send(ctx context.Context, to peer.ID, req *protocol.Message) error {
	return c.do(ctx, to, req, func(ctx context.Context, frame []byte) error {
		again, err := c.tell(ctx, to, frame, false)
		if again {
			c.counts.retries.Add(1)
			within, cancel := context.WithTimeout(ctx, againTimeout)
			defer cancel()
			if _, second := c.tell(within, to, frame, true); !errors.Is(second, protocol.ErrTimeout) {
				err = second
			}
		}
		return err
	})
}

// tell makes one try of Send; late says when our side is closed, at once or not. again
// means that the peer has reset the stream and said nothing else.
func (c *Client) tell(ctx context.Context, to peer.ID, frame []byte, late bool) (again bool, err error) {
	s, done, err := c.open(ctx, to, true)
	if err != nil {
		return false, err
	}
	defer done(false)
	if err := s.WriteFrame(frame); err != nil {
		return false, failed(ctx, "write request", err)
	}
	b, err := closeAndRead(ctx, s, late)
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

// closeAndRead closes our side of s and returns what the peer sends, be it before.
func closeAndRead(ctx context.Context, s Stream, late bool) ([]byte, error) {
	if late {
		soon, cancel := context.WithTimeout(ctx, closeLate)
		defer cancel()
		deadline, _ := soon.Deadline()
		if err := s.SetDeadline(deadline); err != nil {
			return nil, err
		}
		b, err := s.ReadFrame()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return b, err
		}
		deadline, _ = ctx.Deadline()
		if err := s.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	return s.ReadFrame()
}

// resetByPeer reports whether the peer has reset a stream and not said why.
func resetByPeer(err error) bool {
	var reset *network.StreamError
	return errors.As(err, &reset) && reset.Remote && reset.ErrorCode == 0
}
