package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
)

// epoch is when virtual time begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run is one simulation under way. One goroutine owns it and everything in it.
type run struct {
	cfg      Config
	now      int64 // nanoseconds since epoch
	rng      *rand.Rand
	queue    queue
	net      flights
	handlers kademlia.Handlers // of whoever is acting
	checks   checks

	people
	scheme
	inquiries inquiries // of baselines
	records   *keeping  // nil if there are none
	series    series

	events uint64
	digest uint64 // of all that happened so far
	fired  [numFaults]uint64
}

// people is everybody in a run.
type people struct {
	members   []member
	directory directory
	living    index
	acting    int32 // the member whose node or handlers are being called
	ups       int   // members that have come up
	cutNow    bool
	comebacks comebacks
	plot      plot
	gates     map[int32]*rpc.Limiter // of members that were asked something, if there are limits
	// What every node is configured with, made once.
	trace    *kademlia.Trace
	knownOne func(*protocol.Peer) *kademlia.Contact
}

// scheme is what is still to be done.
type scheme struct {
	started int // lookups
	begin   int64
	last    int64 // when the last lookup starts
}

// Progress is how far a run has come.
type Progress struct {
	// Virtual is the time that has passed in the network, End when the last lookup
	// starts; Events what happened.
	Virtual, End time.Duration
	Events       uint64
	// Requests counts those of all nodes together, Probes as in Report.
	Requests, Probes uint64
	// Up counts the members that have joined, Lookups those that have ended; Nodes
	// and Of are how many there will be.
	Up, Nodes, Lookups, Of int
}

// Run makes one run and returns what came of it. It ends early, with the report
// so far and ctx's error, when ctx does. A broken invariant, or a fault that was
// asked for and never happened, is an error that wraps ErrInvariant, beside the
// whole report. progress, which may be nil, is called a few times a second.
func Run(ctx context.Context, cfg Config, progress func(Progress)) (Report, error) {
	_, report, err := simulated(ctx, cfg, nil, progress)
	return report, err
}

// simulated is Run, and returns the run as it ended. before, which may be nil, may
// change the run before it begins.
func simulated(ctx context.Context, cfg Config, before func(*run), progress func(Progress)) (*run, Report, error) {
	if err := cfg.fill(); err != nil {
		return nil, Report{}, err
	}
	empty := heapNow(cfg.Measure.Memory)
	r := newRun(cfg)
	if before != nil {
		before(r)
	}
	clock := time.Now()
	err := r.loop(ctx, progress)
	report := r.report(time.Since(clock))
	if cfg.Measure.Memory {
		report.BytesPerNode = (heapNow(true) - empty) / int64(max(1, r.upNow()))
	}
	if err == nil {
		err = r.verdict(&report)
	}
	return r, report, err
}

// newRun plans everything that is known beforehand.
func newRun(cfg Config) *run {
	r := &run{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x6b646874)), digest: 14695981039346656037}
	r.inquiries.open = make(map[kademlia.RequestID]inquiry)
	r.handlers = kademlia.Handlers{K: cfg.Node.K, Book: r, View: func() *kademlia.View { return r.members[r.acting].node.View() }}
	r.knownOne = r.known
	r.gates = make(map[int32]*rpc.Limiter)
	r.checks = newChecks(r)
	r.trace = r.checks.trace()
	r.members = make([]member, 0, cfg.Nodes+cfg.Nodes/8)
	r.directory = newDirectory(4*cfg.Nodes + 1<<14)
	for i := range cfg.Nodes {
		r.add()
		r.queue.push(int64(float64(i)/cfg.JoinRate*float64(time.Second)), join, int32(i), 0)
	}
	r.begin = int64(float64(cfg.Nodes)/cfg.JoinRate*float64(time.Second)) + int64(cfg.Settle)
	r.last = r.begin + int64(float64(max(0, cfg.Lookups-1))/cfg.Rate*float64(time.Second))
	r.queue.push(r.begin, strike, 0, 0)
	r.queue.push(r.begin, look, 0, 0)
	if cfg.Faults.Partition > 0 {
		at := r.begin + int64(cfg.Faults.CutAfter)
		r.queue.push(at, cut, 0, 0)
		r.queue.push(at+int64(cfg.Faults.CutFor), heal, 0, 0)
		r.planRestart(at)
	}
	r.planComebacks()
	r.keep()
	r.enlist()
	return r
}

// loop lets events happen until the last lookup has ended.
func (r *run) loop(ctx context.Context, progress func(Progress)) error {
	end := r.last + int64(longestLookup)
	for r.queue.len() > 0 && !r.over() {
		e := r.queue.pop()
		if e.at > end {
			r.now = e.at
			break
		}
		r.series.notes(r, e.at)
		r.now = e.at
		r.events++
		r.happen(&e)
		if r.events&0x3fff == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if progress != nil {
				progress(r.progress())
			}
		}
	}
	return nil
}

// over reports whether all lookups have ended, and the time for them is over.
func (r *run) over() bool {
	return r.now > r.last && r.started >= r.cfg.Lookups && len(r.checks.running) == 0 && r.checks.storage.open == 0 && r.records.over()
}

func (r *run) progress() Progress {
	return Progress{
		Virtual: time.Duration(r.now), End: time.Duration(r.last), Events: r.events, Requests: r.net.sent, Probes: r.net.probes,
		Up: min(r.ups, r.cfg.Nodes), Nodes: r.cfg.Nodes, Lookups: r.checks.ended, Of: r.cfg.Lookups,
	}
}

// happen lets one event happen.
func (r *run) happen(e *event) {
	r.hash(uint64(e.at), uint64(e.kind()), uint64(e.who))
	m := &r.members[e.who]
	switch e.kind() {
	case arrive:
		r.arrived(e.what)
	case comeIn:
		r.cameIn(e.what)
	case wake:
		if m.up && m.wakeAt == e.at {
			m.wakeAt = 0
			r.act(e.who, m.node.Advance)
		}
	case join:
		if e.what == 0 && !m.up || e.what == int32(m.life) && m.up {
			r.joins(e.who)
		}
	case settled:
		if e.what == int32(m.life) {
			r.counts(e.who)
		}
	case depart:
		r.departs(e.who)
	case look:
		r.nextLookup()
	case strike:
		r.strikes()
		if r.cfg.Churn.On {
			r.startChurn()
		}
	case cut:
		r.cutNow = true
	case heal:
		r.cutNow = false
	case weigh:
		r.weighs(e.who, e.what)
	case restart:
		r.restarts(e.who, e.what)
	case task:
		r.does(e.what)
	case attack:
		r.attacks(e.who, e.what)
	default:
		r.recordEvent(e)
	}
}

// time returns what a member's clock shows.
func (r *run) time(who int32) time.Time { return epoch.Add(time.Duration(r.now + r.members[who].skew)) }

// act calls a member's node, and plans its next waking.
func (r *run) act(who int32, input func(now time.Time)) {
	r.acting = who
	input(r.time(who))
	r.checks.holds(who)
	m := &r.members[who]
	next := m.node.NextDeadline()
	if next.IsZero() {
		r.checks.sleeps(who)
		return
	}
	at := max(int64(next.Sub(epoch))-m.skew, r.now+1) // time must move on
	if m.wakeAt == 0 || at < m.wakeAt {
		m.wakeAt = at
		r.queue.push(at, wake, who, 0)
	}
}

// nextLookup starts a lookup of a random key at a random member, and plans the
// one after it.
func (r *run) nextLookup() {
	if r.started >= r.cfg.Lookups {
		return
	}
	r.started++
	if r.started < r.cfg.Lookups {
		at := r.begin + int64(float64(r.started)/r.cfg.Rate*float64(time.Second))
		r.queue.push(at, look, 0, 0)
	}
	if len(r.living.members) == 0 {
		r.violated("nobody is left to look anything up")
		return
	}
	who := r.living.members[r.rng.IntN(len(r.living.members))]
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(r.rng.Uint64())
	}
	key = r.plot.chooses(r, key)
	w := r.checks.watch(who, key)
	var policy walk = production{}
	if w.base = r.cfg.Compare && r.started%2 == 0; w.base {
		policy = baseline{}
	}
	r.act(who, func(time.Time) { policy.start(r, w, key) })
}

// hash mixes what happened into the digest.
func (r *run) hash(words ...uint64) {
	for _, w := range words {
		r.digest = (r.digest ^ w) * 1099511628211
		r.digest ^= r.digest >> 29
	}
}

func (r *run) upNow() (n int) {
	for i := range r.members {
		if r.members[i].up && r.plot.role(int32(i)) == honest {
			n++
		}
	}
	return n
}

// violated notes that an invariant does not hold; of many the first are kept.
func (r *run) violated(format string, args ...any) {
	r.checks.broken++
	if len(r.checks.violations) < 20 {
		at := time.Duration(r.now).Round(time.Millisecond)
		r.checks.violations = append(r.checks.violations, fmt.Sprintf("%v: %s", at, fmt.Sprintf(format, args...)))
	}
}
