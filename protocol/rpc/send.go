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

// patienceOpen is how long Send leaves its side open for an answer.
const patienceOpen = 500 * time.Millisecond

// Send makes a request that has no answer, AddProvider, on a stream of its own.
// It returns nil iff the peer has read it and then closed its side cleanly, or
// has sent an AddProvider answer of whatever content, as some peers do. Some reset the
// stream for no stated reason when we close our side: py-libp2p takes that for an error,
// and its reset overtakes its answer; js-libp2p does where our close comes after it has
// read the request, which is chance. Such a peer is told again with our side left open,
// for the answer, and if there is none as at first, which counts as one ask.
func (c *Client) Send(ctx context.Context, to peer.ID, req *protocol.Message) error {
	return c.do(ctx, to, req, func(ctx context.Context, frame []byte) error {
		again, err := c.tell(ctx, to, frame, Stream.CloseWrite)
		if !again {
			return err
		}
		c.counts.retries.Add(1)
		soon, cancel := context.WithTimeout(ctx, patienceOpen)
		defer cancel()
		if _, err = c.tell(soon, to, frame, leaveOpen); errors.Is(err, protocol.ErrTimeout) {
			_, err = c.tell(ctx, to, frame, Stream.CloseWrite)
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
