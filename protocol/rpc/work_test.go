package rpc

import (
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

// workError took work to find.
type workError float64

func (e workError) Error() string  { return "bad signature" }
func (e workError) Units() float64 { return float64(e) }

// TestWorkIsBilled: the sender of what took work to refuse pays for it, whoever
// wraps the error, and no sender's debt grows without bound or shrinks.
func TestWorkIsBilled(t *testing.T) {
	for _, c := range []struct {
		err  error
		want float64
	}{
		{workError(20), 20},
		{fmt.Errorf("put: %w", workError(20)), 20},
		{workError(1e9), maxUnits},
		{workError(-20), 0},
		{fmt.Errorf("cheap"), 0},
	} {
		l := NewLimiter(LimiterConfig{})
		s := NewServer(protocol.Protobuf, l)
		s.Handle(protocol.PutValue, func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error { return c.err })
		if _, _, err := s.Serve(t0, from, body(put("/v/a", "b")), nil); err == nil {
			t.Fatal("served")
		}
		if got := l.Stats().Billed; got != c.want {
			t.Errorf("%v: billed %v, want %v", c.err, got, c.want)
		}
	}
	// Without a gate, and behind one that does not bill, nothing happens.
	for _, gate := range []Gate{nil, gateFunc(func(protocol.Type, int) (time.Duration, error) { return 0, nil })} {
		s := NewServer(protocol.Protobuf, gate)
		s.Handle(protocol.PutValue, func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error { return workError(1) })
		if _, _, err := s.Serve(t0, from, body(put("/v/a", "b")), nil); err == nil {
			t.Fatal("served")
		}
	}
}
