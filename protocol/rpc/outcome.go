package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/kdht/kdht/protocol"
)

// failed says what became of a request whose stream failed with err while doing
// what: whatever ended ctx comes before what the stream made of it.
func failed(ctx context.Context, what string, err error) error {
	switch ctx.Err() {
	case nil:
		return fmt.Errorf("%w: %s: %v", ended(err), what, err)
	case context.DeadlineExceeded:
		return fmt.Errorf("%w: %s: deadline passed", protocol.ErrTimeout, what)
	}
	return ctx.Err()
}

// openFailed says what became of a request for which Streams.Open failed.
func openFailed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == context.Canceled:
		return ctx.Err()
	case outcomeOf(err) != nil:
		return err
	case ctx.Err() != nil, isTimeout(err):
		return fmt.Errorf("%w: open stream: %v", protocol.ErrTimeout, err)
	}
	return fmt.Errorf("%w: open stream: %v", protocol.ErrUnreachable, err)
}

// malformed says that the peer's frame cannot be read.
func malformed(what string, err error) error {
	return fmt.Errorf("%w: %s: %v", protocol.ErrMalformed, what, err)
}

// retriable reports whether an error of failed means that the stream ended, as
// idle ones do, rather than that the peer was silent or sent nonsense.
func retriable(err error) bool {
	return errors.Is(err, protocol.ErrRefused) || errors.Is(err, protocol.ErrUnreachable) || errors.Is(err, protocol.ErrLocal)
}

// acknowledged says what it means that nothing could be read after a request
// without answer: the peer closing its side cleanly is what Send waits for.
func acknowledged(ctx context.Context, err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return failed(ctx, "wait for the peer's close", err)
}

// ClientStats is what a client has done so far.
type ClientStats struct {
	Types   [protocol.NumTypes]Outcomes // by type of request
	Retries uint64                      // requests asked again on a fresh stream
}

// Outcomes counts finished requests by what became of them.
type Outcomes struct {
	OK, Unreachable, Refused, Timeout, Unsupported, Malformed, Local, Canceled uint64
}

// Stats returns a snapshot of c's counters. Each is exact; together they are as
// of slightly different moments.
func (c *Client) Stats() ClientStats {
	s := ClientStats{Retries: c.counts.retries.Load()}
	for t := range s.Types {
		n := &c.counts.outcomes[t]
		s.Types[t] = Outcomes{
			OK: n[0].Load(), Unreachable: n[1].Load(), Refused: n[2].Load(), Timeout: n[3].Load(),
			Unsupported: n[4].Load(), Malformed: n[5].Load(), Local: n[6].Load(), Canceled: n[7].Load(),
		}
	}
	return s
}

// clientCounts is ClientStats while it is being counted. Of each type's counters
// the first is for success, the next for the sentinels in the order of outcomes,
// the last for everything else.
type clientCounts struct {
	outcomes [protocol.NumTypes][len(outcomes) + 2]atomic.Uint64
	retries  atomic.Uint64
}

// add counts a request of type t that ended with err.
func (c *clientCounts) add(t protocol.Type, err error) {
	if !t.Valid() {
		return
	}
	i := 0
	if err != nil {
		i = len(outcomes) + 1
		for j, o := range outcomes {
			if errors.Is(err, o) {
				i = j + 1
				break
			}
		}
	}
	c.outcomes[t][i].Add(1)
}
