// Package overlay runs a whole overlay in one process: nodes on loopback that
// joined each other, for people to look at and for programs to try.
//
// The invariant: when Start returns an Overlay, every node knows all others, or
// as many as a bucket holds; when Close returns, none is left.
package overlay

import (
	"context"
	"sync"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/libp2p/go-libp2p/core/peer"
)

// MaxNodes is how many nodes one process may run: each takes a socket to
// listen on and several connections.
const MaxNodes = 200

// bucketSize is k where Config does not say (wire.md §19).
const bucketSize = 20

// startAtOnce is how many nodes start at a time.
const startAtOnce = 8

// Config says what overlay to run.
type Config struct {
	// Count is the number of nodes, BucketSize their k (0: 20).
	Count, BucketSize int
	Prefix            string
	// Progress is told each time a node is ready (nil: nobody). Calls may overlap.
	Progress func()
}

// Overlay is nodes that know each other.
type Overlay struct {
	Nodes []*live.Node
}

// Start starts an overlay: the first node, then the others, who join through it.
func Start(ctx context.Context, cfg Config) (*Overlay, error) {
	if cfg.Count < 2 || cfg.Count > MaxNodes {
		return nil, control.Errorf(control.Usage, "an overlay of %d nodes: choose 2 to %d", cfg.Count, MaxNodes)
	}
	if cfg.Progress == nil {
		cfg.Progress = func() {}
	}
	o := &Overlay{Nodes: make([]*live.Node, cfg.Count)}
	err := o.start(ctx, cfg)
	if err != nil {
		o.Close()
		if ctx.Err() != nil { // whatever it was that did not happen in time
			err = ctx.Err()
		}
		return nil, err
	}
	return o, nil
}

func (o *Overlay) start(ctx context.Context, cfg Config) error {
	first, err := begin(cfg, nil)
	if err != nil {
		return err
	}
	o.Nodes[0] = first
	cfg.Progress()
	through := []peer.AddrInfo{first.Info()}
	err = o.each(func(i int) error {
		if i == 0 {
			return nil
		}
		n, err := begin(cfg, through)
		if err != nil {
			return err
		}
		o.Nodes[i] = n
		defer cfg.Progress()
		return n.Join(ctx)
	})
	if err != nil {
		return err
	}
	return o.each(func(i int) error { return o.Nodes[i].Meet(ctx, enough(cfg)) })
}

// enough is how many others each node must know before the overlay is shown.
func enough(cfg Config) int {
	if cfg.BucketSize > 0 {
		return min(cfg.Count-1, cfg.BucketSize)
	}
	return min(cfg.Count-1, bucketSize)
}

func begin(cfg Config, through []peer.AddrInfo) (*live.Node, error) {
	return live.Start(live.Config{
		// Without QUIC, whose dials race with those of TCP, it is up in half the time.
		Listen:    []string{"/ip4/127.0.0.1/tcp/0"},
		Bootstrap: through, Prefix: cfg.Prefix, BucketSize: cfg.BucketSize,
	})
}

// each calls f for every node's number, several at a time, and returns the first
// error.
func (o *Overlay) each(f func(i int) error) error {
	errs := make([]error, len(o.Nodes))
	slots := make(chan struct{}, startAtOnce)
	var running sync.WaitGroup
	for i := range o.Nodes {
		slots <- struct{}{}
		running.Go(func() {
			errs[i] = f(i)
			<-slots
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Close ends all nodes.
func (o *Overlay) Close() error {
	return o.each(func(i int) error {
		if o.Nodes[i] == nil {
			return nil
		}
		return o.Nodes[i].Close()
	})
}
