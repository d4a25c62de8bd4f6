package kademlia

import (
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// QueryID names one operation under way; 0 names none.
type QueryID uint64

// query is a Lookup plus its goal: it asks whom the lookup names, gives the
// answers to both, and, once the walk is over, spreads what the goal wants
// stored.
//
// Invariant: finish runs once, and is the only place where a query ends; what
// arrives afterwards is credited to the peer and dropped.
type query struct {
	node   *Node
	id     QueryID
	target keyspace.Key
	lookup *Lookup
	goal   goal
	manner
	request *protocol.Message
	spread  *fanout // set when the walk is over and something is to be stored
	report  Report
	closer  []*Contact // room for what an answer names
	started time.Time
	done    func(now time.Time, r Result)
	region  *regionWalk // set when more than the k nearest are asked, or given a record
	milestones
	headway
}

// manner is how a query is made.
type manner struct {
	most    int  // requests in flight that are of use; 0: as many as the lookup has
	passing bool // its end is not worth remembering
	alone   bool // it does not begin at the end of another
	beside  bool // it begins at the end of one for a key next to its own, too
	shared  bool // it may have several callers
}

// milestones are what happens to a query once, or a few times.
type milestones struct {
	widened  bool // the table has been asked for more candidates
	judged   bool // the k nearest have been judged
	around   int  // lookups under way for who is around the target
	rounds   int  // of those made
	finished bool
}

// goal is what a query is for.
type goal interface {
	// response takes in an answer and says whether the walk may end. m is only
	// valid during the call.
	response(now time.Time, q *query, from *Contact, m *protocol.Message) (satisfied bool)
	// failure takes in that a peer did not answer, and says the same.
	failure(to *Contact, err error) (satisfied bool)
	// regional says whether more peers than the k nearest are worth asking, or storing
	// with, where these may have been placed there.
	regional() bool
	// walked is called when the walk is over and returns what the nearest peers
	// are to store, or nil.
	walked(q *query) *protocol.Message
	// fill completes the result: what was found, and the error if it was not.
	fill(now time.Time, q *query, r *Result)
}

// start seeds the query's lookup and asks the first peers.
func (q *query) start(now time.Time) {
	n := q.node
	seeds := n.table.View().AppendClosest(make([]*Contact, 0, n.cfg.K), &q.target, n.cfg.K)
	q.lookup = newLookup(q.target, n.cfg.K, n.cfg.Alpha, n.cfg.Beta, seeds)
	q.lookup.cfg, q.lookup.dials = &n.cfg, n.newDials()
	for i := range q.lookup.candidates {
		if e := n.table.find(&q.lookup.candidates[i].contact.Key); e != nil {
			q.lookup.candidates[i].pace = e.pace
		}
	}
	if !q.passing {
		q.lookup.split(n.cfg.Paths)
	}
	if !q.passing && !q.alone {
		for _, c := range n.cache.begin(now, &q.target) {
			q.lookup.add(c, 1)
		}
	}
	n.whole.seed(q.lookup)
	if q.beside {
		for _, c := range n.cache.beside(now, &q.target) {
			q.lookup.add(c, 1)
		}
	}
	q.lookup.follow(nil)
	q.trust()
	if q.most > 0 {
		q.lookup.narrow(q.most)
	}
	if len(q.lookup.candidates) == 0 {
		q.finish(now, ErrNoPeers)
		return
	}
	q.prepare()
	q.step(now)
}

// ask asks whom the lookup names.
func (q *query) ask(now time.Time) {
	q.node.recent.turn(now)
	for c := q.lookup.Next(); c != nil; c = q.lookup.Next() {
		q.send(now, c)
	}
}

func (q *query) send(now time.Time, c *Contact) {
	q.report.Asked++
	q.node.cfg.Trace.asking(q.id, c, q.lookup.hop(&c.Key))
	q.node.requests.send(now, c, q.request, q, q.lookup.doubting)
}

// step goes on with the walk, or with what comes after it.
func (q *query) step(now time.Time) {
	if q.spread != nil {
		q.spread.step(now)
		return
	}
	if q.filling() && q.node.refresher.hold(now, q) {
		return
	}
	q.consider(now)
	q.ask(now)
	q.hasten(now)
	switch {
	case !q.lookup.Done():
		q.lookAround(now)
	case q.widen():
		q.step(now)
	case q.filling() && q.fill(now):
	case q.lookAround(now):
	case q.surround(now):
	default:
		q.endWalk(now, true)
	}
}

// filling reports whether the query is a refresh.
func (q *query) filling() bool {
	_, ok := q.goal.(*lookAbout)
	return ok
}

// fill has a refresh ask whom else it has heard of for the buckets that lack members,
// and reports whether any of them is waited for: to verify one takes one request, to
// look for one more.
func (q *query) fill(now time.Time) bool {
	n := q.node
	lacking := n.refresher.lacking()
	bucket := func(c *Contact) *int { return &lacking[min(n.table.prefix(&c.Key), len(lacking)-1)] }
	for i := range q.lookup.candidates {
		if c := &q.lookup.candidates[i]; c.state == asking {
			*bucket(c.contact)--
		}
	}
	for {
		c := q.lookup.spare(func(c *Contact) bool {
			return *bucket(c) > 0 && n.table.contact(&c.Key) == nil && (n.cfg.Admit == nil || n.cfg.Admit(c)) && !n.crowded(c)
		})
		if c == nil {
			return q.lookup.slots > 0
		}
		*bucket(c)--
		q.send(now, c)
	}
}

// widen goes back to the table for more candidates when a walk has run dry with
// fewer than k answers, once: answers name the nearest peers their senders know,
// and where many of those have just died, nobody names the next nearest. It
// reports whether there are any.
func (q *query) widen() bool {
	k := q.node.cfg.K
	if q.widened || q.lookup.count(answered)+q.lookup.count(believed) >= k {
		return false
	}
	q.widened = true
	before := len(q.lookup.candidates)
	for _, c := range q.node.table.View().AppendClosest(nil, &q.target, 4*k) {
		q.lookup.add(c, 1)
	}
	return len(q.lookup.candidates) > before
}

// endWalk goes over to storing, or finishes. complete says that the lookup ran
// to its end, so that what it found is worth remembering.
func (q *query) endWalk(now time.Time, complete bool) {
	n := q.node
	if complete && q.report.Answered == 0 {
		q.finish(now, ErrNoAnswer)
		return
	}
	if complete && !q.passing {
		closest := q.lookup.appendAnswered(make([]*Contact, 0, n.cfg.K), n.cfg.K)
		n.cache.put(now, &q.target, closest, q.lookup.told(closest), n.cfg.K)
	}
	if complete {
		n.refresher.covered(now, &q.target)
	}
	m := q.goal.walked(q)
	if m == nil {
		q.finish(now, nil)
		return
	}
	q.lookup.distrust() // whoever takes the place of one that fails is asked first
	q.spread = q.early
	if q.spread == nil {
		q.spread = &fanout{query: q}
	}
	q.spread.message = m
	if q.region != nil {
		q.spread.extra, q.region.found = q.region.found, nil
	}
	q.spread.step(now)
}

// answered implements asker for the requests of the walk.
func (q *query) answered(now time.Time, r *request, m *protocol.Message, late bool) {
	from := r.to
	q.node.useful(now, from)
	q.kept(from)
	if q.finished {
		return
	}
	if late {
		q.report.Failed.Timeout--
	}
	q.report.Answered++
	q.lookup.follow(&from.Key)
	closer := q.heard(m)
	q.node.cfg.Trace.answered(q.id, from, closer)
	hop := q.lookup.Answered(&from.Key, closer)
	q.neighbours(now, from, m)
	q.lookup.by = 0
	q.lookup.follow(nil)
	q.report.Hops = max(q.report.Hops, hop)
	satisfied := q.spread == nil && q.goal.response(now, q, from, m)
	switch {
	case q.finished: // canceled by who was told what it found
	case satisfied && !q.wary(now):
		q.report.Hops = hop
		q.endWalk(now, false)
	default:
		q.step(now)
	}
}

// failed implements asker for the requests of the walk.
func (q *query) failed(now time.Time, r *request, err error) {
	to := r.to
	if err != errSilent { // else silent will be told
		q.node.suspect(now, r, err)
		q.broken(r, err)
	}
	if q.finished {
		return
	}
	q.report.Failed.count(err)
	q.node.cfg.Trace.failed(q.id, to, err)
	q.early.forsake(&to.Key)
	q.lookup.Failed(&to.Key, errors.Is(err, protocol.ErrUnreachable))
	if errors.Is(err, protocol.ErrRefused) || errors.Is(err, protocol.ErrMalformed) || errors.Is(err, protocol.ErrUnsupported) {
		q.lookup.Reached(&to.Key)
	}
	if q.spread == nil && q.goal.failure(to, err) {
		q.endWalk(now, false)
		return
	}
	q.step(now)
}

// slow implements asker: the peer keeps its chance, but not its slot.
func (q *query) slow(now time.Time, to *Contact) {
	if q.finished {
		return
	}
	q.node.cfg.Trace.slow(q.id, to)
	q.lookup.Slow(&to.Key)
	q.step(now)
}

// Taken is how much of an answer a node with that many replicas looks at: more need
// not be decoded.
func Taken(k int) protocol.Bounds {
	return protocol.Bounds{Closer: max(protocol.MaxAnswerPeers, k+1), Providers: maxProvidersTaken, Addrs: maxAddrsRead}
}

// looked returns those named in an answer that are looked at.
func (q *query) looked(m *protocol.Message) []protocol.Peer {
	return m.CloserPeers[:min(len(m.CloserPeers), Taken(q.node.cfg.K).Closer)]
}

// heard returns the contacts among an answer's closer peers that are news, to be
// added as what one more peer has named.
func (q *query) heard(m *protocol.Message) []*Contact {
	q.lookup.by = q.lookup.dials.namer()
	q.lookup.answers++
	peers := q.looked(m)
	closer := q.closer[:0]
	for i := range peers {
		p := &peers[i]
		c, key := q.node.shared(p)
		at, known := q.lookup.find(&key)
		if known && !q.node.requests.doubts.holds(&key, q.lookup.now) {
			q.lookup.vouch(at)
		}
		if key == q.node.self.Key || known && (c != nil && c == q.lookup.candidates[at].contact || !q.lookup.candidates[at].profits(p.Addrs)) {
			if known {
				q.lookup.seconded(at)
			}
			continue
		}
		if c == nil && !known {
			c = q.node.table.contact(&key)
		}
		if c == nil {
			c = q.node.contactIn(p)
		}
		if c != nil && (key == q.target || q.node.cfg.Follow == nil || q.node.cfg.Follow(c)) {
			closer = append(closer, c)
		}
	}
	q.closer = closer
	return q.node.cfg.spreadOut(closer)
}

// finish ends the query and tells its caller.
func (q *query) finish(now time.Time, err error) {
	if q.finished {
		return
	}
	q.finished = true
	delete(q.node.queries, q.id)
	if q.region != nil {
		q.region.abandon(now, q.node)
	}
	r := q.result(now, err)
	q.node.cfg.Trace.ended(q.id, &r)
	q.done(now, r)
	q.node.refresher.resume(now)
}

// result is what has been found by now. It changes nothing of a query that is canceled.
func (q *query) result(now time.Time, err error) Result {
	r := Result{Err: err}
	if q.lookup != nil {
		r.Stopped = err == nil && q.spread == nil && !q.lookup.Done()
		r.Closest = q.lookup.appendAnswered(nil, q.node.cfg.K)
	}
	r.Report = q.report
	r.Report.Duration = now.Sub(q.started)
	q.goal.fill(now, q, &r)
	return r
}

// silent implements asker.
func (q *query) silent(now time.Time, r *request) {
	q.node.suspect(now, r, errSilent)
	q.broken(r, errSilent)
}
