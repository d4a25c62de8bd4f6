package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

// Stream carries frames to one peer and back, for one request at a time. A request
// ends with Release or Reset. Reset may also come from another goroutine, at any
// moment and after the end, and makes blocked calls return.
//
// An error of WriteFrame or ReadFrame that wraps one of protocol's sentinels means
// that (a frame that cannot be read: ErrMalformed). Any other is taken for what it
// is: os.ErrDeadlineExceeded for silence, a libp2p resource limit for a budget of
// ours, all else for the end of the stream.
type Stream interface {
	// WriteFrame writes b as one frame and does not keep it.
	WriteFrame(b []byte) error
	// ReadFrame returns the next frame, which is the caller's.
	ReadFrame() ([]byte, error)
	// CloseWrite closes our side; the peer reads EOF.
	CloseWrite() error
	// SetDeadline makes reads and writes fail with os.ErrDeadlineExceeded after t.
	SetDeadline(t time.Time) error
	// Reused reports whether the stream has served an earlier request.
	Reused() bool
	// Release gives the stream back for the next request.
	Release()
	// Reset aborts the stream in both directions; more than once is fine.
	Reset()
}

// Streams opens streams to peers.
type Streams interface {
	// Open returns a stream to the peer: an idle one, unless fresh, or a new one,
	// dialling if need be and waiting until ctx ends for a free stream of the
	// peer's. Errors wrap protocol.ErrUnreachable, ErrUnsupported, ErrTimeout or
	// ErrLocal.
	Open(ctx context.Context, to peer.ID, fresh bool) (Stream, error)
}

// ClientConfig bounds a client. Zero values mean the defaults.
type ClientConfig struct {
	MaxPerPeer       int // requests under way to one peer: 8
	MaxQueuedPerPeer int // requests waiting for one peer: 32; more are refused
	MaxInFlight      int // requests under way in all: 1024
	MaxQueued        int // requests waiting for that bound: 4096; more are refused
	// Timeout is what a request gets whose context has no deadline: 10 s
	// (wire.md §5).
	Timeout time.Duration
	// Bounds are how much of an answer's peers is kept.
	Bounds protocol.Bounds
}

// Client makes requests in one message format. Every error of its methods wraps
// exactly one of protocol's ErrUnreachable, ErrRefused, ErrTimeout,
// ErrUnsupported, ErrMalformed and ErrLocal, or else context.Canceled.
//
// A stream is used again only if its last request was answered, and nothing but
// answered; in all other cases it is reset, so that no answer can be taken for
// another request's. Methods may be called from any goroutine.
type Client struct {
	codec   protocol.Codec
	streams Streams
	budget  *budget
	timeout time.Duration
	bounds  protocol.Bounds
	counts  clientCounts
}

// NewClient returns a client for codec's format over streams.
func NewClient(codec protocol.Codec, streams Streams, cfg ClientConfig) *Client {
	for _, d := range []struct {
		n *int
		v int
	}{{&cfg.MaxPerPeer, 8}, {&cfg.MaxQueuedPerPeer, 32}, {&cfg.MaxInFlight, 1024}, {&cfg.MaxQueued, 4096}} {
		if *d.n <= 0 {
			*d.n = d.v
		}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Client{codec: codec, streams: streams, budget: newBudget(cfg), timeout: cfg.Timeout, bounds: cfg.Bounds}
}

// RoundTrip asks to and reads the answer into resp, which borrows from a frame
// of its own and may be kept. It returns when ctx ends at the latest. The answer
// is of the request's type and about its key, a record in it is for that key, and
// a PutValue has been acknowledged by the value coming back; the peers in it are
// as the peer sent them. A reused stream that ends unanswered is replaced once by
// a fresh one, which counts as one ask (wire.md §22.6). It is not for
// AddProvider, which has no answer: see Send.
func (c *Client) RoundTrip(ctx context.Context, to peer.ID, req, resp *protocol.Message) error {
	return c.do(ctx, to, req, func(ctx context.Context, frame []byte) error {
		again, err := c.ask(ctx, to, false, frame, req, resp)
		if again {
			c.counts.retries.Add(1)
			_, err = c.ask(ctx, to, true, frame, req, resp)
		}
		return err
	})
}

// Crowded reports whether more is being asked than is answered: requests queue at
// most of the peers that are asked just now. A few that are slow do not make it so.
func (c *Client) Crowded() bool { return c.budget.crowded() }

// keepFrame is the longest buffer that is kept for the next request; a FIND_NODE
// takes 45 bytes.
const keepFrame = 16 << 10

// frames holds buffers for encoded requests.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// do encodes req and runs one request within ctx, its default deadline and the
// budgets, and counts what became of it.
func (c *Client) do(ctx context.Context, to peer.ID, req *protocol.Message, run func(context.Context, []byte) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	err := c.encoded(req, func(frame []byte) error {
		if err := c.budget.acquire(ctx, to); err != nil {
			return err
		}
		defer c.budget.release(to)
		return run(ctx, frame)
	})
	c.counts.add(req.Type, err)
	if err != nil {
		return fmt.Errorf("%v to %v: %w", req.Type, to, err)
	}
	return nil
}

// encoded calls run with the encoded req, in a buffer that is used again.
func (c *Client) encoded(req *protocol.Message, run func([]byte) error) error {
	buf := frames.Get().(*[]byte)
	b, err := c.codec.Append((*buf)[:0], req)
	switch {
	case err != nil:
		return fmt.Errorf("%w: request not encoded: %v", protocol.ErrLocal, err)
	case len(b) > protocol.MaxFrame:
		return fmt.Errorf("%w: request of %d bytes is longer than a frame may be (%d)", protocol.ErrLocal, len(b), protocol.MaxFrame)
	}
	err = run(b)
	if cap(b) <= keepFrame {
		*buf = b
		frames.Put(buf)
	}
	return err
}

// open opens a stream, bound to ctx's deadline and end. done must be called last,
// with whether the stream is fit for the next request.
func (c *Client) open(ctx context.Context, to peer.ID, fresh bool) (s Stream, done func(fit bool), err error) {
	s, err = c.streams.Open(ctx, to, fresh)
	if err != nil {
		return nil, nil, openFailed(ctx, err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(deadline); err != nil {
			s.Reset()
			return nil, nil, failed(ctx, "set deadline", err)
		}
	}
	stop := context.AfterFunc(ctx, s.Reset)
	return s, func(fit bool) {
		if stop() && fit {
			s.Release()
		} else {
			s.Reset()
		}
	}, nil
}

// ask makes one try at a round trip. again means that the stream was reused and
// ended before any answer, so that a fresh one may do better.
func (c *Client) ask(ctx context.Context, to peer.ID, fresh bool, frame []byte, req, resp *protocol.Message) (again bool, err error) {
	s, done, err := c.open(ctx, to, fresh)
	if err != nil {
		return false, err
	}
	reused := s.Reused()
	fit := false
	defer func() { done(fit) }()
	if err := s.WriteFrame(frame); err != nil {
		err = failed(ctx, "write request", err)
		return reused && retriable(err), err
	}
	skipped := ""
	resp.Bounds = c.bounds
	for range maxStray {
		b, err := s.ReadFrame()
		if err != nil {
			err = failed(ctx, "read answer", err)
			if skipped != "" && errors.Is(err, protocol.ErrTimeout) {
				return false, fmt.Errorf("%w: %s, and then nothing", protocol.ErrMalformed, skipped)
			}
			return reused && retriable(err), err
		}
		if err := c.codec.Decode(b, resp); err != nil {
			return false, malformed("answer", err)
		}
		v, reason := match(req, resp)
		if v == answers {
			fit = skipped == ""
			return false, nil
		}
		if v == negative || !reused && resp.Type != protocol.AddProvider {
			return false, fmt.Errorf("%w: %s", protocol.ErrMalformed, reason)
		}
		skipped = reason
	}
	return false, fmt.Errorf("%w: %d answers to other requests", protocol.ErrMalformed, maxStray)
}

// maxStray is how many frames are read in search of one answer: stray ADD_PROVIDER
// answers, and on a reused stream late or repeated answers to its earlier requests
// (wire.md §5).
const maxStray = 8
