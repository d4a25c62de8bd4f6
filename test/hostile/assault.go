package hostile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Target is whom an attack is directed at.
type Target struct {
	peer.AddrInfo
	Protocol protocol.ID
}

// ParseTarget reads a full multiaddr on loopback.
func ParseTarget(addr string, id protocol.ID) (Target, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w: give a full multiaddr such as /ip4/127.0.0.1/tcp/5348/p2p/<peer id>", addr, err)
	}
	for _, a := range info.Addrs {
		if err := raw.Loopback(a); err != nil {
			return Target{}, err
		}
	}
	if len(info.Addrs) == 0 {
		return Target{}, fmt.Errorf("target %q has no address: give a full multiaddr such as /ip4/127.0.0.1/tcp/5348/p2p/<peer id>", addr)
	}
	return Target{*info, id}, nil
}

// Assault is one attack under way: the peers it is made by and what it counts.
type Assault struct {
	Target
	seed    uint64
	begin   func(time.Duration) context.Context
	counts  counts
	mu      sync.Mutex
	hosts   []*raw.Host
	closers []func()
}

// counts are figures by name, added to from many goroutines.
type counts struct{ all sync.Map }

// of returns the counter of that name.
func (c *counts) of(name string) *atomic.Int64 {
	n, ok := c.all.Load(name)
	if !ok {
		n, _ = c.all.LoadOrStore(name, new(atomic.Int64))
	}
	return n.(*atomic.Int64)
}

// most raises a counter to n if it is below.
func (c *counts) most(name string, n int64) {
	for at := c.of(name); ; {
		was := at.Load()
		if was >= n || at.CompareAndSwap(was, n) {
			return
		}
	}
}

func (c *counts) snapshot() map[string]int64 {
	all := make(map[string]int64)
	c.all.Range(func(name, n any) bool {
		all[name.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	return all
}

// Result is what an attack counted.
type Result struct {
	Attack string           `json:"attack"`
	Took   time.Duration    `json:"took"` // from its begin, without preparations
	Counts map[string]int64 `json:"counts"`
}

// Options say how an attack is run.
type Options struct {
	For  time.Duration // how long, from its begin
	Seed uint64        // of identities and contents
	// Begun, if not nil, is called when the preparations are done and the assault
	// begins.
	Begun func()
}

// Run makes one attack and waits for its end. It ends with ctx, after Options.For,
// or when the attack has done all it does.
func Run(ctx context.Context, a Attack, target Target, opts Options) (Result, error) {
	var began time.Time
	var cancel context.CancelFunc = func() {}
	s := &Assault{Target: target, seed: opts.Seed}
	defer s.close()
	s.begin = func(long time.Duration) context.Context {
		began = time.Now()
		var bounded context.Context
		bounded, cancel = context.WithTimeout(ctx, long)
		if opts.Begun != nil {
			opts.Begun()
		}
		return bounded
	}
	err := a.run(ctx, s, opts.For)
	cancel()
	r := Result{Attack: a.Name, Counts: s.counts.snapshot()}
	if !began.IsZero() {
		r.Took = time.Since(began)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil // its time was over
	}
	return r, err
}

// close ends all peers and what else was opened.
func (s *Assault) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var group sync.WaitGroup
	for _, h := range s.hosts {
		group.Go(func() { _ = h.Close() })
	}
	for _, c := range s.closers {
		group.Go(c)
	}
	group.Wait()
}

func (s *Assault) later(c func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, c)
}

// attackers makes n peers that only dial, from distinct source addresses.
func (s *Assault) attackers(n int) ([]*raw.Host, error) {
	return s.peers(n, func(i int) raw.Config { return raw.Config{Source: raw.Source(i)} })
}

// onlooker makes a peer that is none of the attackers.
func (s *Assault) onlooker() (*raw.Host, error) {
	h, err := raw.New(raw.Config{Key: raw.Key(s.seed, 1<<32), Source: raw.Source(199)})
	if err != nil {
		return nil, err
	}
	s.later(func() { _ = h.Close() })
	return h, nil
}

// peers makes n peers; their identities are the first n of the seed.
func (s *Assault) peers(n int, config func(i int) raw.Config) ([]*raw.Host, error) {
	hosts := make([]*raw.Host, n)
	errs := make([]error, n)
	var group sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			cfg := config(i)
			cfg.Key = raw.Key(s.seed, uint64(i))
			hosts[i], errs[i] = raw.New(cfg)
		})
	}
	group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hosts {
		if h != nil {
			s.hosts = append(s.hosts, h)
		}
	}
	return hosts, errors.Join(errs...)
}

// open opens a stream of h to the target, counting what fails. It gives a
// connection ten seconds.
func (s *Assault) open(ctx context.Context, h *raw.Host) (*raw.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := h.Open(ctx, s.AddrInfo, s.Protocol)
	if err != nil {
		s.counts.of("streams refused").Add(1)
		return nil, err
	}
	s.counts.of("streams opened").Add(1)
	return stream, nil
}

// rng returns the i-th source of randomness of this assault.
func (s *Assault) rng(i int) *rand.Rand { return raw.Rand(s.seed, uint64(i)) }

// each runs fn for every peer at once, and again and again until ctx ends, with a
// short pause after a failure.
func (s *Assault) each(ctx context.Context, hosts []*raw.Host, times int, fn func(ctx context.Context, h *raw.Host, i int) error) {
	var group sync.WaitGroup
	for n := range len(hosts) * times {
		group.Go(func() {
			h := hosts[n%len(hosts)]
			for ctx.Err() == nil {
				if fn(ctx, h, n) != nil {
					pause(ctx, 5*time.Millisecond)
				}
			}
		})
	}
	group.Wait()
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}

// tcp returns a listen address of one IP.
func tcp(ip netip.Addr) string { return "/ip4/" + ip.String() + "/tcp/0" }

// addrBytes returns the binary form of a multiaddr that is written in this package.
func addrBytes(text string) []byte { return multiaddr.StringCast(text).Bytes() }

// Find returns the attack of that name.
func Find(name string) (Attack, error) {
	byName := make(map[string]Attack)
	for _, a := range Attacks {
		byName[a.Name] = a
	}
	if a, ok := byName[name]; ok {
		return a, nil
	}
	return Attack{}, fmt.Errorf("there is no attack %q: --list shows the %d there are", name, len(byName))
}
