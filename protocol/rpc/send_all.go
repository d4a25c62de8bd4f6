package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// SendAll makes n requests that have no answer, AddProvider, one after the other on one
// stream, without waiting in between: message makes the i-th, which is used at once and
// not kept. It returns how many the peer took for certain, from the first on: all of them
// iff err is nil, because it has read to the end and then closed its side cleanly; of a
// peer that answers, as many as it answered. A peer that resets the stream for no stated
// reason (see Send), or answers some and then closes its side, as py-libp2p does, which
// reads one message of a stream, is sent the rest one by one.
func (c *Client) SendAll(ctx context.Context, to peer.ID, n int, message func(i int) *protocol.Message) (taken int, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	again := n == 1
	if n > 1 {
		if taken, again, err = c.stream(ctx, to, n, message); again {
			c.counts.retries.Add(1)
			for range taken {
				c.counts.add(protocol.AddProvider, nil)
			}
		}
	}
	for ; again && taken < n; taken++ {
		if err = c.Send(ctx, to, message(taken)); err != nil {
			return taken, err // which Send has counted
		}
	}
	if again {
		return taken, nil
	}
	for i := range n {
		var outcome error
		if i >= taken {
			outcome = err
		}
		c.counts.add(protocol.AddProvider, outcome)
	}
	if err != nil {
		err = fmt.Errorf("%d announcements to %v: %w", n, to, err)
	}
	return taken, err
}

// stream makes the one try of SendAll on one stream.
func (c *Client) stream(ctx context.Context, to peer.ID, n int, message func(i int) *protocol.Message) (taken int, again bool, err error) {
	if err := c.budget.acquire(ctx, to); err != nil {
		return 0, false, err
	}
	defer c.budget.release(to)
	s, done, err := c.open(ctx, to, true)
	if err != nil {
		return 0, false, err
	}
	defer done(false)
	for i := range n {
		if err := c.encoded(message(i), s.WriteFrame); err != nil {
			return 0, resetByPeer(err), failed(ctx, "write request", err)
		}
	}
	if err := s.CloseWrite(); err != nil {
		return 0, false, failed(ctx, "close our side", err)
	}
	for {
		b, err := s.ReadFrame()
		if err != nil {
			if what := acknowledged(ctx, err); what != nil {
				return taken, errors.Is(what, protocol.ErrRefused) && resetByPeer(err), what
			}
			if taken > 0 && taken < n {
				return taken, true, nil
			}
			return n, false, nil
		}
		if t, err := c.codec.Type(b); err != nil {
			return taken, false, malformed("answer", err)
		} else if t != protocol.AddProvider || taken == n {
			return taken, false, fmt.Errorf("%w: answer type %v", protocol.ErrMalformed, t)
		}
		taken++
	}
}
