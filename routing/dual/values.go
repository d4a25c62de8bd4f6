package dual

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kdht/kdht/routing"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// GetValue returns the best value that either network has under key. Both are
// searched to their ends; with a Quorum, each to its own, and the second is not
// waited for where as many peers of the first gave the same value.
func (d *DHT) GetValue(ctx context.Context, key string, opts ...core.Option) ([]byte, error) {
	quorum, err := routing.QuorumOf(opts...)
	if err != nil {
		return nil, err
	}
	get := func(ctx context.Context, side *routing.DHT) ([]byte, error) { return side.GetValue(ctx, key, opts...) }
	p := both(ctx, d, get, func(a *answer[[]byte]) time.Duration {
		if a.err == nil && quorum > 0 && len(a.report.Holders) >= quorum {
			return 0
		}
		return forever
	})
	best := p.wan.value
	if d.better(key, best, p.lan.value) {
		best = p.lan.value
	}
	for _, err := range []error{p.wan.err, p.lan.err} {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return best, ctx.Err() // there may have been a better one
		}
	}
	return best, p.err(ctx)
}

// better reports whether value is preferred to best; nil is none.
func (d *DHT) better(key string, best, value []byte) bool {
	switch {
	case best == nil || value == nil:
		return best == nil && value != nil
	case bytes.Equal(best, value):
		return false
	}
	i, err := d.WAN.Validator().Select(key, [][]byte{best, value})
	return err == nil && i == 1
}

// SearchValue is GetValue for those who want a value now and better ones as either
// network finds them: each value sent is better than those before.
func (d *DHT) SearchValue(ctx context.Context, key string, opts ...core.Option) (<-chan []byte, error) {
	within, cancel := d.within(ctx)
	var p pair[<-chan []byte]
	for side, in := range map[*routing.DHT]*answer[<-chan []byte]{d.WAN: &p.wan, d.LAN: &p.lan} {
		in.value, in.err = side.SearchValue(routing.WithReport(within, &in.report), key, opts...)
	}
	if err := merge(within, p.wan.err, p.lan.err); err != nil { // the reports are being filled in
		cancel()
		p.tell(ctx)
		return nil, err
	}
	out := make(chan []byte, 1)
	started := d.spawn(func() {
		defer close(out)
		d.improve(within, key, [...]<-chan []byte{p.wan.value, p.lan.value}, out)
		cancel()
		p.tell(ctx)
	})
	if !started {
		cancel()
		return nil, routing.ErrClosed
	}
	return out, nil
}

// improve sends what is better than all before; a source may be nil.
func (d *DHT) improve(ctx context.Context, key string, sources [2]<-chan []byte, out chan<- []byte) {
	all := make(chan []byte)
	var reading sync.WaitGroup
	for _, values := range sources {
		if values == nil {
			continue
		}
		reading.Go(func() {
			for v := range values {
				select {
				case all <- v:
				case <-ctx.Done():
				}
			}
		})
	}
	go func() {
		reading.Wait()
		close(all)
	}()
	var best []byte
	for v := range all {
		if !d.better(key, best, v) {
			continue
		}
		best = v
		select {
		case out <- v:
		case <-ctx.Done():
		}
	}
}
