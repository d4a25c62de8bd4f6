package hostile

import (
	"context"
	"sync"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
)

// steadily is what a busy node sees every day: 500 requests a second of 10 peers,
// and 10 peers a second that were never there before, ask once and leave.
func steadily(_ context.Context, s *Assault, long time.Duration) error {
	hosts, err := s.attackers(10)
	if err != nil {
		return err
	}
	kinds := sound(s, []byte(hosts[0].ID()))
	ctx := s.begin(long)
	var group sync.WaitGroup
	group.Go(func() {
		s.each(ctx, hosts, 1, func(ctx context.Context, h *raw.Host, i int) error { return s.askSteadily(ctx, h, i, kinds) })
	})
	group.Go(func() { s.visitors(ctx) })
	group.Wait()
	return ctx.Err()
}

// askSteadily asks 50 times a second on one stream, requests of each type that has
// an answer by turns, until the stream or ctx ends.
func (s *Assault) askSteadily(ctx context.Context, h *raw.Host, n int, kinds [][]byte) error {
	stream, err := s.open(ctx, h)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	const announcement = 4 // of kinds; it has no answer to wait for, so a PING takes its place
	for ; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		kind := n % len(kinds)
		if kind == announcement {
			kind = 0
		}
		if _, err := stream.Ask(kinds[kind]); err != nil {
			if ctx.Err() == nil {
				s.counts.of("requests failed").Add(1)
			}
			return err
		}
		s.counts.of("answers").Add(1)
	}
}

// visitors arrive 10 times a second.
func (s *Assault) visitors(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var group sync.WaitGroup
	defer group.Wait()
	ask := raw.Message{Type: raw.FindNode, Key: make([]byte, 32)}.Frame()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		group.Go(func() {
			h, err := raw.New(raw.Config{Key: raw.Key(s.seed, 1<<33+uint64(i)), Source: raw.Source(i % 4000)})
			if err != nil {
				return
			}
			defer h.Close()
			stream, err := s.open(ctx, h)
			if err == nil {
				_, err = stream.Ask(ask)
			}
			if err == nil {
				s.counts.of("visitors served").Add(1)
			} else if ctx.Err() == nil {
				s.counts.of("visitors refused").Add(1)
			}
		})
	}
}
