package kademlia

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxQueries bounds the operations under way at a time.
const maxQueries = 4096

// ErrNoAddrs means that we know no address of our own to announce.
var ErrNoAddrs = errors.New("no address of our own to announce")

// Node is one member of the overlay: it composes table, queries, prober,
// refresher and reprovider, and routes every input to them.
//
// One goroutine owns a Node. Callbacks run on it, inside the call that caused
// them, and may start or cancel operations. Every operation calls done exactly
// once, inside the starting call if there is nobody to ask, or no need to.
type Node struct {
	cfg       Config
	self      *Contact // with our own addresses
	table     *Table
	requests  requests
	queries   map[QueryID]*query
	lastQuery QueryID
	shares
	size       netSize
	recent     recentDials
	prober     prober
	refresher  refresher
	reprovider reprovider
	seeder     seeder
	exiles     exiles
	upkeep     upkeep
}

// NewNode returns a Node that knows nobody. The first peer it gets to know
// starts its first refresh, and with it the periodic ones.
func NewNode(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, self: NewContact(cfg.Self, nil), queries: make(map[QueryID]*query)}
	n.cache = newCache(&n.cfg.Timing)
	n.table = newTable(n.self.Key, cfg.K, cfg.FarBuckets)
	n.requests = requests{network: cfg.Network, timing: &n.cfg.Timing, patience: patience{timing: &n.cfg.Timing}}
	n.prober = prober{node: n}
	n.refresher = refresher{node: n}
	n.reprovider = reprovider{node: n, period: n.cfg.Timing.Reprovide}
	n.whole = whole{node: n}
	n.seeder, n.exiles, n.upkeep = seeder{node: n}, exiles{node: n}, newUpkeep(n)
	return n, nil
}

// View returns the table's members as of now; safe from any goroutine.
func (n *Node) View() *View { return n.table.View() }

// Self returns our own contact, with the addresses set last.
func (n *Node) Self() *Contact { return n.self }

// Timing returns the periods with the defaults filled in; safe from any goroutine.
func (n *Node) Timing() Timing { return n.cfg.Timing }

// Buckets describes the table for people.
func (n *Node) Buckets() []BucketInfo { return n.table.info() }

// CacheStats returns what lookups had of others.
func (n *Node) CacheStats() CacheStats {
	s := n.cache.stats
	s.Keys = len(n.cache.byKey)
	return s
}

// SetAddrs sets our own addresses, which announcements carry.
func (n *Node) SetAddrs(addrs [][]byte) { n.self = NewContact(n.cfg.Self, addrs) }

// PeerSeen tells that a peer is there and serves our protocol, with the
// addresses it gives itself. A member counts as seen; another is verified first
// and then taken in, or kept as a replacement if its bucket has enough for now.
func (n *Node) PeerSeen(now time.Time, c *Contact) {
	c = n.filtered(c)
	if c.ID == n.cfg.Self || n.cfg.Admit != nil && !n.cfg.Admit(c) {
		return
	}
	n.requests.doubts.end(&c.Key)
	if n.table.seen(now, c) != nil {
		n.table.update(c)
		return
	}
	if n.crowded(c) {
		return
	}
	if n.wants(&c.Key) {
		n.prober.candidate(now, c)
		return
	}
	n.table.bucket(&c.Key).addReplacement(c, n.cfg.K, true)
	if !n.table.hasRoom(&c.Key) {
		n.prober.contest(now, c)
	}
}

// PeerGone tells that a peer does not serve our protocol, or no longer.
func (n *Node) PeerGone(now time.Time, id peer.ID) {
	key := keyspace.KeyOfString(string(id))
	n.prober.forget(id)
	n.cache.lost(&key)
	if e := n.table.find(&key); e != nil {
		n.evict(now, e.contact, errNotServing)
		return
	}
	n.table.remove(&key)
}

// HandleResponse takes in the outcome of a request sent: the answer m, valid
// during the call only, or err, which should wrap one of protocol's sentinels.
// Unknown ids are ignored.
func (n *Node) HandleResponse(now time.Time, id RequestID, m *protocol.Message, err error) {
	r := n.requests.take(id)
	if r == nil {
		return
	}
	if m == nil && err == nil {
		err = fmt.Errorf("no answer: %w", protocol.ErrMalformed)
	}
	late := r.stage >= givenUp
	switch {
	case err == nil:
		n.requests.came(now, r)
		r.asker.answered(now, r, m, late)
		n.table.timed(&r.to.Key, time.Duration(instantOf(now)-r.sent))
	case !late:
		n.requests.doubt(now, r, err)
		r.asker.failed(now, r, asSentinel(err))
	case r.stage == givenUp:
		r.asker.silent(now, r)
	}
	n.prober.step(now)
}

// Advance does what has become due by now.
func (n *Node) Advance(now time.Time) {
	n.requests.advance(now)
	n.prober.step(now)
	n.refresher.advance(now)
	n.reprovider.advance(now)
	n.seeder.advance(now)
	n.exiles.advance(now)
	n.upkeep.advance(now)
	n.whole.advance(now)
	n.cache.expire(now)
}

// NextDeadline returns when Advance is to be called next, at the latest; zero
// if nothing is waited for.
func (n *Node) NextDeadline() time.Time {
	next := earlier(n.requests.next(), n.prober.nextDeadline())
	next = earlier(next, earlier(n.seeder.nextDeadline(), n.exiles.nextDeadline()))
	next = earlier(next, earlier(n.upkeep.nextDeadline(), n.whole.nextDeadline()))
	return earlier(next, earlier(n.refresher.nextDeadline(), n.reprovider.nextDeadline()))
}

// earlier returns the earlier of two times, of which a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Refresh refreshes every bucket now and calls done, which may be nil, when
// that is over; a round that runs already is joined.
func (n *Node) Refresh(now time.Time, done func(now time.Time)) { n.refresher.start(now, true, done) }

// FindNode finds the k live peers nearest to key (hashed once).
func (n *Node) FindNode(now time.Time, key []byte, done func(time.Time, Result)) QueryID {
	s := &shared{want: want{wantPeers, string(key), 0}}
	return n.seek(now, s, protocol.FindNode, findNode{}, &caller{done: done})
}

// FindPeer finds the addresses of one peer: Result.Providers holds its contact.
func (n *Node) FindPeer(now time.Time, id peer.ID, done func(time.Time, Result)) QueryID {
	s := &shared{want: want{wantPeer, string(id), 0}}
	g := &findPeer{target: keyspace.KeyOfString(string(id))}
	return n.seek(now, s, protocol.FindNode, g, &caller{done: done})
}

// FindValue finds the best value under key. Peers near the key that answered
// without it are given it afterwards, in the background.
func (n *Node) FindValue(now time.Time, key []byte, o ValueOptions, done func(time.Time, Result)) QueryID {
	s := &shared{want: want{wantValue, string(key), o.Quorum}, local: o.Local}
	c := &caller{value: o.Found, done: done}
	o.Found = s.tellValue
	g := &findValue{key: bytes.Clone(key), options: o, validator: n.cfg.Validator}
	return n.seek(now, s, protocol.GetValue, g, c)
}

// FindProviders finds up to count providers of key, all there are if count is
// 0; found, which may be nil, is told each as it comes, and again one whose
// addresses come later.
func (n *Node) FindProviders(now time.Time, key []byte, count int, found func(*Contact), done func(time.Time, Result)) QueryID {
	s := &shared{want: want{wantProviders, string(key), count}}
	g := &findProviders{count: count, found: s.tellProvider, index: make(map[peer.ID]int)}
	return n.seek(now, s, protocol.GetProviders, g, &caller{provider: found, done: done})
}

// Store puts rec, whose key places it, on the k peers nearest to it. The caller
// has validated it. rec must not be changed afterwards.
func (n *Node) Store(now time.Time, rec protocol.Record, done func(time.Time, Result)) QueryID {
	g := &store{message: func() *protocol.Message { return putValue(rec) }}
	q := n.query(now, protocol.FindNode, rec.Key, g, n.storing(now, ofValues, rec.Key, done))
	if q == nil {
		return 0
	}
	q.start(now)
	return q.id
}

// Provide announces us as a provider of key to the k peers nearest to it.
func (n *Node) Provide(now time.Time, key []byte, done func(time.Time, Result)) QueryID {
	key = bytes.Clone(key)
	g := &store{message: func() *protocol.Message {
		if !n.self.HasAddrs() {
			return nil // lost while we walked
		}
		return &protocol.Message{Type: protocol.AddProvider, Key: key, ProviderPeers: []protocol.Peer{n.self.Peer}, ClusterLevel: 1}
	}}
	q := n.query(now, protocol.FindNode, key, g, n.storing(now, ofProviders, key, done))
	switch {
	case q == nil:
		return 0
	case !n.self.HasAddrs():
		q.finish(now, ErrNoAddrs)
	default:
		q.start(now)
	}
	return q.id
}

// Cancel ends an operation: done is called with what was found and ErrCanceled.
func (n *Node) Cancel(now time.Time, id QueryID) {
	if s := n.joint.asking[id]; s != nil {
		s.leave(now, id)
	} else if q := n.queries[id]; q != nil && !q.shared {
		q.finish(now, ErrCanceled)
	}
}

// lookAbout is FindNode for the table's own sake: how it ends is worth nothing to
// later lookups.
func (n *Node) lookAbout(now time.Time, key []byte, g *lookAbout, done func(time.Time, Result)) {
	if q := n.query(now, protocol.FindNode, key, g, done); q != nil {
		q.passing, q.most = true, max(1, g.missing(n.table))
		q.start(now)
	}
}

// query makes a query, or calls done and returns nil if there are too many.
func (n *Node) query(now time.Time, t protocol.Type, key []byte, g goal, done func(time.Time, Result)) *query {
	if done == nil {
		done = func(time.Time, Result) {}
	}
	if len(n.queries) >= maxQueries {
		done(now, Result{Err: ErrBusy})
		return nil
	}
	n.lastQuery++
	key = bytes.Clone(key)
	q := &query{
		node: n, id: n.lastQuery, target: keyspace.KeyOf(key), goal: g, started: now, done: done,
		request: &protocol.Message{Type: t, Key: key, ClusterLevel: 1},
		manner:  manner{alone: n.joint.alone, beside: n.joint.beside},
	}
	n.queries[q.id] = q
	n.cfg.Trace.began(q)
	return q
}

// spread gives m to targets in the background; done may be nil.
func (n *Node) spread(now time.Time, m *protocol.Message, targets []*Contact, done func(time.Time, Result)) {
	q := n.query(now, m.Type, m.Key, &store{}, done)
	if q == nil {
		return
	}
	q.lookup = walkedLookup(q.target, targets)
	q.widened = true // there are no others to give it to
	q.spread = &fanout{query: q, message: m}
	q.spread.step(now)
}
