package overlay

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

func TestEveryNodeKnowsOthers(t *testing.T) {
	var ready atomic.Int32
	o, err := Start(t.Context(), Config{Count: 6, Prefix: "/test", Progress: func() { ready.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range o.Nodes {
		if n.Peers() != 5 {
			t.Errorf("node %d knows %d others, want 5", i, n.Peers())
		}
	}
	if ready.Load() != 6 {
		t.Errorf("told of %d nodes", ready.Load())
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	for _, count := range []int{-1, 0, 1, MaxNodes + 1} {
		_, err := Start(t.Context(), Config{Count: count})
		var e *control.Error
		if !errors.As(err, &e) || e.Kind != control.Usage {
			t.Errorf("%d nodes: %v", count, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Config{Count: 3, Prefix: "/test"}); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}
