//go:build unix

package sim

import (
	"context"
	"encoding/binary"
	"flag"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
)

var (
	provideNodes   = flag.Int("provide-nodes", 0, "of how many nodes TestProvideScale is")
	provideKeys    = flag.Int("provide-keys", 100000, "how many keys one node provides in TestProvideScale")
	providePeriod  = flag.Duration("provide-period", 22*time.Hour, "how often they are to be announced")
	provideRefresh = flag.Duration("provide-refresh", 10*time.Minute, "how often tables are refreshed, and members probed")
	provideReads   = flag.Int("provide-reads", 2000, "how many keys are looked for")
)

// publication is one node that provides many keys, and who holds them: too many for
// stores.
type publication struct {
	t      *testing.T
	cfg    publishing
	run    *run
	keeper *keeper
	held   map[int32]*holder
	began  int64 // when the keys are there

	reads, found, checks, there int
	worst                       float64 // share of keys that were there, at the worst moment
	conns                       int
	cycles                      []kademlia.Cycle
}

// publishing is what is to be done.
type publishing struct {
	nodes, keys int
	period      time.Duration
	reads       int
	refresh     time.Duration
	dead        float64
}

// holder is what one member holds in one life.
type holder struct {
	life uint32
	keys []uint32
}

// publisherAt is who provides: an anchor, which stays.
const publisherAt = 3

func numberedKey(seed uint64, i int) []byte {
	b := append(make([]byte, 0, 34), 0x12, 0x20)
	b = binary.BigEndian.AppendUint64(b, uint64(i))
	return append(binary.BigEndian.AppendUint64(b, mix(seed+uint64(i))), make([]byte, 16)...)
}

func (p *publication) takes(to int32, key []byte) {
	h := p.held[to]
	if life := p.run.members[to].life; h == nil || h.life != life {
		h = &holder{life: life}
		p.held[to] = h
	}
	h.keys = append(h.keys, uint32(binary.BigEndian.Uint64(key[2:])))
}

// holds reports whether a member would name the provider of key i.
func (p *publication) holds(who int32, i int) bool {
	h, m := p.held[who], &p.run.members[who]
	return h != nil && m.up && m.fate == Fine && h.life == m.life && slices.Contains(h.keys, uint32(i))
}

// nearby reports whether a reader finds key i who asks the k nearest that are there.
func (p *publication) nearby(i int) bool {
	r := p.run
	key := keyspace.KeyOf(numberedKey(r.cfg.Seed, i))
	for _, who := range r.living.appendClosest(nil, &key, r.cfg.Node.K, func(int32) bool { return true }) {
		if p.holds(who, i) {
			return true
		}
	}
	return false
}

// at plans that f happens.
func (p *publication) at(at int64, f func()) {
	p.run.net.tasks = append(p.run.net.tasks, f)
	p.run.queue.push(at, task, publisherAt, int32(len(p.run.net.tasks)-1))
}

// start gives the provider its keys when the network is there and the dead have died.
func (p *publication) start() {
	r := p.run
	p.keeper = r.keepKeys(publisherAt)
	for i := range p.cfg.keys {
		p.keeper.check(second(p.keeper.store.Add(numberedKey(r.cfg.Seed, i))))
	}
	r.act(publisherAt, func(now time.Time) {
		r.members[publisherAt].node.SetAddrs(r.members[publisherAt].contact.Peer.Addrs)
		r.members[publisherAt].node.KeysDue(now)
	})
	p.keeper.told = func(*kademlia.Visited) { p.conns = max(p.conns, len(r.members[publisherAt].conns)) }
	p.began = r.now
	// All of the second cycle is watched: real readers, and every so often a count.
	from, span := p.began+int64(p.cfg.period), int64(p.cfg.period)
	for i := range p.cfg.reads {
		p.at(from+span*int64(i)/int64(p.cfg.reads), func() { p.read() })
	}
	for i := range 44 {
		p.at(from+span*int64(i)/44, func() { p.count() })
	}
	for i := range 2 {
		p.at(p.began+int64(i+1)*span-1, func() { p.cycles = append(p.cycles, p.stats().Now, p.stats().Before) })
	}
}

func second[A any](_ A, err error) error { return err }

func (p *publication) stats() kademlia.ReprovideStats {
	return p.run.members[publisherAt].node.Reproviding(p.run.time(publisherAt))
}

// count looks for the holders of some keys.
func (p *publication) count() {
	const sample = 400
	there := 0
	for range sample {
		if p.nearby(p.run.rng.IntN(p.cfg.keys)) {
			there++
		}
	}
	p.checks += sample
	p.there += there
	p.worst = min(p.worst, float64(there)/sample)
}

// read has a member that has just come look for a key: it knows nobody yet but the end of
// a lookup, and asks all of these.
func (p *publication) read() {
	r := p.run
	who := r.living.members[r.rng.IntN(len(r.living.members))]
	i := r.rng.IntN(p.cfg.keys)
	r.act(who, func(now time.Time) {
		r.members[who].node.FindNode(now, numberedKey(r.cfg.Seed, i), func(_ time.Time, res kademlia.Result) {
			p.reads++
			for _, c := range res.Closest {
				if n := r.index(c.ID); n >= 0 && p.holds(n, i) {
					p.found++
					return
				}
			}
		})
	})
}

// provide runs a publication to the end of its second cycle.
func provide(t *testing.T, cfg publishing) *publication {
	p := &publication{t: t, cfg: cfg, held: make(map[int32]*holder), worst: 1}
	c := Config{
		Seed: 8, Nodes: cfg.nodes, JoinRate: max(50, float64(cfg.nodes)/100), Settle: 10 * time.Minute,
		Faults: Faults{Refuse: cfg.dead / 2, BlackHole: cfg.dead / 2},
		Churn:  Churn{On: true, Scale: float64(cfg.period) / float64(22*time.Hour), Gap: 10 * time.Minute},
		Link:   Link{Conns: 64, Limits: Limits{On: true}},
		Node:   kademlia.Config{Timing: kademlia.Timing{Reprovide: cfg.period, Refresh: cfg.refresh, Probe: cfg.refresh}},
	}
	before := func(r *run) {
		p.run = r
		r.net.sink = p.takes
		p.at(r.begin+int64(5*time.Minute), p.start)
		r.last = r.begin + int64(5*time.Minute) + 2*int64(cfg.period) + int64(time.Minute)
	}
	start, _ := cpuSeconds()
	shown := time.Now()
	_, report, err := simulated(context.Background(), c, before, func(g Progress) {
		if time.Since(shown) > 20*time.Second {
			shown = time.Now()
			now, _ := cpuSeconds()
			t.Logf("%v of %v, %.0f CPU s", g.Virtual, g.End, now-start)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	cpu, _ := cpuSeconds()
	t.Logf("%d nodes, %d keys, every %v: %d requests in all, %.0f CPU s", cfg.nodes, cfg.keys, cfg.period, report.Requests, cpu-start)
	for i, cycle := range p.cycles {
		t.Logf("cycle %d: %+v", i, cycle)
	}
	t.Logf("found by %d of %d readers; %d of %d sampled keys were there, %.4f at the worst moment; %d connections at the most",
		p.found, p.reads, p.there, p.checks, p.worst, p.conns)
	return p
}

// One node announces many keys, in a small network that changes fast: all of them are
// found throughout the second cycle, for hardly more messages than there must be.
func TestProvideSweep(t *testing.T) {
	for _, cfg := range []publishing{
		{nodes: 300, keys: 4000, period: time.Hour, reads: 400, refresh: 10 * time.Minute, dead: 0.2},
		{nodes: 20, keys: 2000, period: time.Hour, reads: 400, refresh: 10 * time.Minute},
	} {
		p := provide(t, cfg)
		p.judge(0.99)
	}
}

// TestProvideScale is the same of any size:
//
//	go test ./routing/sim -run ProvideScale -v -provide-nodes 10000 -provide-keys 1000000 -provide-refresh 1h -timeout 1h
func TestProvideScale(t *testing.T) {
	if *provideNodes == 0 {
		return // asked for by its flags
	}
	dead := 0.2
	if *provideNodes < 100 {
		dead = 0
	}
	p := provide(t, publishing{*provideNodes, *provideKeys, *providePeriod, *provideReads, *provideRefresh, dead})
	p.judge(0.999)
	own := p.keeper.store
	p.run, p.held, p.keeper = nil, nil, nil
	heap := heapNow(true)
	runtime.KeepAlive(own)
	own = nil
	t.Logf("the keys take %d MiB of memory", (heap-heapNow(true))>>20)
}

// judge checks what is promised of the second cycle.
func (p *publication) judge(found float64) {
	t, cfg := p.t, p.cfg
	t.Helper()
	second := p.cycles[2] // which is over but for its last nanosecond
	if second.Keys < cfg.keys/2 {
		second = p.cycles[3] // the next began early, since a visit takes what lies together
	}
	if second.Keys < cfg.keys*9/10 || second.Keys > cfg.keys*11/10 {
		t.Errorf("%d keys of %d were announced in the second cycle", second.Keys, cfg.keys)
	}
	if extra := float64(second.Asked+second.Sent)/float64(second.Keys) - 20; extra > 3 {
		t.Errorf("%.2f messages a key beyond 20", extra)
	}
	if share := float64(p.found) / float64(p.reads); share < found || p.worst < found-0.01 {
		t.Errorf("%.4f of the readers found their key, want %.3f; at the worst moment %.4f were there", share, found, p.worst)
	}
	if p.conns > 64 {
		t.Errorf("%d connections", p.conns)
	}
}
