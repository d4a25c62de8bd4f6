package honest

import (
	"context"
	"fmt"
	"time"

	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/test/hostile/raw"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Crawled is what a crawler met.
type Crawled struct {
	Took              time.Duration
	Requests, Answers int
	// Reset are the streams that ended before their last answer; Error is one of
	// these ends.
	Reset int
	Error error
	// Least is the fewest different peers that any node told of.
	Least   int
	Refused Refused
}

// Crawl has a crawler visit every node, one after the other as in a walk, and ask
// each for peers in bursts: so many FIND_NODE for random keys, on a stream of their
// own, written without waiting for answers.
func (w *Network) Crawl(ctx context.Context, seed uint64, bursts []int) (*Crawled, error) {
	h, err := raw.New(raw.Config{Key: raw.Key(seed, 1)})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	before, began := w.refused(), time.Now()
	c := &Crawled{Least: len(w.nodes)}
	for _, n := range w.nodes {
		if err := h.Connect(ctx, n.info()); err != nil {
			return c, fmt.Errorf("honest: the crawler cannot connect: %w", err)
		}
		told := make(map[string]bool)
		for i, burst := range bursts {
			c.Requests += burst
			if err := c.burst(ctx, h, n.info(), raw.Rand(seed, uint64(i)), burst, told); err != nil {
				c.Reset++
				c.Error = err
			}
		}
		delete(told, string(h.ID()))
		c.Least = min(c.Least, len(told))
		_ = h.Network().ClosePeer(n.host.ID())
	}
	c.Took = time.Since(began)
	c.Refused = w.refused().minus(before)
	return c, nil
}

// burst asks one node that many times at once, and waits for all answers.
func (c *Crawled) burst(ctx context.Context, h *raw.Host, to peer.AddrInfo, rng interface{ Uint64() uint64 }, count int, told map[string]bool) error {
	s, err := h.Open(ctx, to, routing.DefaultProtocol)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	var frames []byte
	for range count {
		frames = append(frames, raw.Message{Type: raw.FindNode, Key: fmt.Appendf(nil, "%032x", rng.Uint64())}.Frame()...)
	}
	go func() { // an error there is one here
		_, _ = s.Write(frames)
	}()
	for range count {
		b, err := s.ReadFrame()
		if err != nil {
			return err
		}
		answer, err := raw.Parse(b)
		if err != nil {
			return err
		}
		c.Answers++
		for _, p := range answer.Closer {
			told[string(p.ID)] = true
		}
	}
	return nil
}
