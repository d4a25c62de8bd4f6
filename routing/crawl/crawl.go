// Package crawl walks a whole network: it asks every peer that it hears of for all of its routing table, and goes on with whom
// these tables name, until nobody new is named or a budget is used up. Any network will do whose peers answer FIND_NODE.
//
//	result, err := crawl.Run(ctx, sender, seeds, crawl.Config{}, func(v crawl.Visit) {
//		fmt.Println(v.Peer.ID, v.Err, len(v.Neighbours))
//	})
//
// [Walk] is the walk itself, a state machine without I/O, clock or goroutine, for who wants to drive it: whom to ask what, and what
// the answers mean. [Run] drives one over a [Sender].
//
// A peer's table is read by keys made for the purpose. An answer names the members nearest to its key, and so all members that are
// nearer than the farthest one named: if that one shares d bits with the key, all that share d+1 are known. What lies beyond is
// asked for in parts, each with a key of its own, until no part is left. So nothing is assumed of how many peers an answer names,
// and a bucket of five hundred is read as surely as one of twenty; a peer with b full buckets takes about 2b requests.
//
// The invariant: what others say is bounded before it is kept. A peer that lies can name as many as Config.Neighbours in as many
// answers as Config.PerTable, and whom one alone names is asked after all whom several name.
package crawl

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Peer is who can be asked, and where: binary multiaddrs without /p2p.
type Peer struct {
	ID    peer.ID
	Addrs [][]byte
}

// Sender asks peers. Its methods are called from many goroutines.
type Sender interface {
	// FindNode asks a peer for those nearest to key, and returns the closer peers of the answer, which the caller reads before
	// it returns to the peer. Errors wrap one of protocol's sentinels, or ctx's error.
	FindNode(ctx context.Context, to Peer, key []byte) ([]protocol.Peer, error)
	// Leave says that a peer will not be asked again soon: its connection may go.
	Leave(id peer.ID)
}

// Config bounds a crawl. Zero values mean the defaults.
type Config struct {
	// Self is who crawls; it is never asked.
	Self peer.ID
	// Seed makes the keys that are asked for, and the same for the same seed.
	Seed uint64
	// Parallel is how many peers are asked at a time (64), PerPeer how many requests each has at a time once it has answered the
	// first (3).
	Parallel, PerPeer int
	// Visits is how many times somebody may be dialed (200,000), Requests how many may be made in all (20 million), and Peers
	// how many may be known (200,000).
	Visits, Requests, Peers int
	// PerTable is how many requests one peer's table may take (512), Neighbours how many it may have (4,096).
	PerTable, Neighbours int
	// Timeout bounds one request, the dial included (10 s), Patience what is waited for one peer in all (60 s).
	Timeout, Patience time.Duration
	// Take keeps those addresses that belong to the network (nil: all). It must not change its argument.
	Take func(addrs [][]byte) [][]byte
}

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&c.Parallel, 64}, {&c.PerPeer, 3}, {&c.Visits, 200_000}, {&c.Requests, 20_000_000}, {&c.Peers, 200_000}, {&c.PerTable, 512}, {&c.Neighbours, 4096},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Patience <= 0 {
		c.Patience = time.Minute
	}
	return c
}

// Visit is what came of asking one peer. Who could not be reached is visited again, twice at most, when somebody names another
// address; then the last visit counts.
type Visit struct {
	Peer Peer
	// Err is why it did not answer, or no more after it had; nil if nothing failed.
	Err error
	// Answered says that it answered at least once; Whole that Neighbours is its whole table, as far as it tells.
	Answered, Whole bool
	// Neighbours are whom its table holds, in the order in which they were named.
	Neighbours []peer.ID
	// Requests is how many it was asked. Again says that it was visited before.
	Requests int
	Again    bool
	// So far is how the walk stands.
	SoFar Progress
}

// Progress is how far a walk has come.
type Progress struct {
	// Known are the peers heard of, Waiting those of them nobody has asked yet, Answered those that did.
	Known, Waiting, Answered int
	// Visits and Requests are what it took, Edges how many members all tables had, and Ignored how often somebody was named that
	// was one too many.
	Visits, Requests, Edges, Ignored int
}

// End says why a walk ended.
type End string

// The ends.
const (
	Whole       End = "whole"    // there is nobody left to ask
	OutOfTime   End = "time"     // the context ended
	OutOfBudget End = "requests" // Config.Requests or Config.Visits were used up
)

// Result is what came of a crawl.
type Result struct {
	Progress
	End  End
	Took time.Duration
}

// ErrNoSeeds means that there is nobody to begin with.
var ErrNoSeeds = errors.New("crawl: nobody to begin with: give at least one peer of the network")

// Run walks the network from seeds until there is nobody left to ask, a budget is used up or ctx ends, which is no error. told is
// called with each visit, one at a time, on Run's own goroutine. When Run returns, nothing that it has started is running.
func Run(ctx context.Context, s Sender, seeds []Peer, cfg Config, told func(Visit)) (Result, error) {
	began, cfg := time.Now(), cfg.withDefaults()
	w := NewWalk(cfg, seeds)
	if w.Progress().Known == 0 {
		return Result{}, ErrNoSeeds
	}
	r := &runner{sender: s, timeout: cfg.Timeout, answers: make(chan answer, cfg.Parallel), since: make(map[*reading]time.Time)}
	defer r.running.Wait()
	end, over := Whole, ctx.Done()
	for {
		for a, ok := w.Next(); ok; a, ok = w.Next() {
			r.ask(ctx, a)
		}
		if r.underWay == 0 {
			break
		}
		select {
		case <-over:
			end, over = OutOfTime, nil
			w.Stop()
		case a := <-r.answers:
			r.underWay--
			if time.Since(r.since[a.ask.of]) > cfg.Patience {
				w.Enough(a.ask)
			}
			v, done := w.Answer(a.ask, a.closer, a.err)
			if done {
				delete(r.since, a.ask.of)
				r.running.Go(func() { s.Leave(v.Peer.ID) })
				told(v)
			}
		}
	}
	switch {
	case end == Whole && ctx.Err() != nil: // its end and the last answer came together
		end = OutOfTime
	case end == Whole && w.Spent():
		end = OutOfBudget
	}
	return Result{Progress: w.Progress(), End: end, Took: time.Since(began)}, nil
}

// runner has the requests of a walk made, each on a goroutine of its own.
type runner struct {
	sender   Sender
	timeout  time.Duration
	answers  chan answer
	underWay int
	since    map[*reading]time.Time // when each peer was first asked
	running  sync.WaitGroup
}

type answer struct {
	ask    Ask
	closer []protocol.Peer
	err    error
}

func (r *runner) ask(ctx context.Context, a Ask) {
	r.underWay++
	if a.of.asked == 1 {
		r.since[a.of] = time.Now()
	}
	r.running.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		closer, err := r.sender.FindNode(ctx, a.To, a.Key)
		r.answers <- answer{a, closer, err}
	})
}
