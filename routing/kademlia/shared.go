package kademlia

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// want is what a lookup is for: two that want the same at the same time are one.
type want struct {
	kind wanted
	key  string
	most int // the quorum, or how many providers
}

// wanted is what somebody looks for.
type wanted uint8

const (
	wantPeers wanted = iota
	wantPeer
	wantValue
	wantProviders
)

// joint is the lookups under way that others may join, and who has.
//
// Invariant: open holds the shared lookups that have not ended and may be joined; asking
// every caller of one that has not ended, by its own id.
type joint struct {
	open   map[want]*shared
	asking map[QueryID]*shared
	alone  bool // what is being started is nobody else's (see Node.Afresh)
	beside bool // it is one of many (see Node.Beside)
}

// shares is what lookups have of each other, and of those made for all of them.
type shares struct {
	cache cache
	joint joint
	whole whole
}

// shared is one lookup and those who wait for it. Each may leave before its end; with the
// last of them it is called off.
type shared struct {
	node    *Node
	want    want
	local   []byte // the value of our own store that it began with
	query   *query
	callers []*caller
}

// caller is one who waits for a shared lookup.
type caller struct {
	id       QueryID
	since    time.Time
	value    func([]byte, *Contact)
	provider func(*Contact)
	done     func(time.Time, Result)
	joined   bool // a lookup that was under way
	left     bool
}

// Afresh runs start, which starts operations: they neither use what is remembered of
// earlier lookups nor join others.
func (n *Node) Afresh(start func() QueryID) QueryID {
	n.joint.alone = true
	defer func() { n.joint.alone = false }()
	return start()
}

// Beside runs start, which starts an operation that is one of many, made in the order of
// their keys: its lookup begins where the one before has ended, too.
func (n *Node) Beside(start func() QueryID) QueryID {
	n.joint.beside = true
	defer func() { n.joint.beside = false }()
	return start()
}

// remembers reports whether what is being started may be answered by what others have
// found.
func (n *Node) remembers() bool { return !n.joint.alone && !n.cache.off() }

// seek has c told what s is for: by a lookup under way that it joins, by what is remembered,
// or by a lookup of its own, which asks what g wants.
func (n *Node) seek(now time.Time, s *shared, t protocol.Type, g goal, c *caller) QueryID {
	s.node, c.since = n, now
	if c.done == nil {
		c.done = func(time.Time, Result) {}
	}
	if n.remembers() && (n.join(s, c) || n.recall(now, s, c)) {
		return c.id
	}
	q := n.share(now, s, t, g, c)
	if q == nil {
		return 0
	}
	if v, ok := g.(*findValue); ok && v.begin() {
		q.finish(now, nil)
		return q.id
	}
	q.start(now)
	return q.id
}

// join has c wait for a lookup under way that wants the same as s, if there is one, and
// tells it what that has found so far.
func (n *Node) join(wish *shared, c *caller) bool {
	s := n.joint.open[wish.want]
	if s == nil || !bytes.Equal(s.local, wish.local) || len(n.joint.asking) >= maxQueries {
		return false
	}
	n.cache.stats.Joined++
	n.lastQuery++
	c.joined = true
	s.add(n.lastQuery, c)
	switch g := s.query.goal.(type) {
	case *findValue:
		if g.best != nil && c.value != nil {
			c.value(g.best, g.source())
		}
	case *findProviders:
		for i := 0; i < len(g.providers) && !c.left && c.provider != nil; i++ {
			c.provider(g.providers[i])
		}
	}
	return true
}

// recall tells c what an earlier lookup for the same has found, if that is remembered.
func (n *Node) recall(now time.Time, s *shared, c *caller) bool {
	target := keyspace.KeyOfString(s.want.key)
	r := Result{Report: Report{Recalled: true}}
	switch s.want.kind {
	case wantPeers:
		r.Closest = slices.Clone(n.cache.answer(now, &target))
		if r.Closest == nil {
			return false
		}
	case wantValue:
		if s.local != nil || !n.cache.lacks(now, &target, ofValues) {
			return false
		}
		r.Err = ErrNotFound
	case wantProviders:
		if !n.cache.lacks(now, &target, ofProviders) {
			return false
		}
	default:
		return false
	}
	c.done(now, r)
	return true
}

// share makes a lookup that others may join, with c as its first caller. The goal must be
// made of its tell functions. It returns nil if there are too many, and c has been told.
func (n *Node) share(now time.Time, s *shared, t protocol.Type, g goal, c *caller) *query {
	q := n.query(now, t, []byte(s.want.key), g, func(now time.Time, r Result) {
		if s.query == nil { // too many
			c.done(now, r)
			return
		}
		s.end(now, r)
	})
	if q == nil {
		return nil
	}
	s.query, q.shared = q, true
	s.add(q.id, c)
	if n.remembers() {
		if n.joint.open == nil {
			n.joint.open = make(map[want]*shared)
		}
		n.joint.open[s.want] = s
	}
	return q
}

func (s *shared) add(id QueryID, c *caller) {
	c.id = id
	s.callers = append(s.callers, c)
	joint := &s.node.joint
	if joint.asking == nil {
		joint.asking = make(map[QueryID]*shared)
	}
	joint.asking[id] = s
}

// close lets nobody join any more.
func (s *shared) close() {
	if j := &s.node.joint; j.open[s.want] == s {
		delete(j.open, s.want)
		if len(j.open) == 0 {
			j.open = nil // an idle node holds no room for its busiest hour
		}
	}
}

// gone strikes a caller off the book of all.
func (j *joint) gone(c *caller) {
	c.left = true
	delete(j.asking, c.id)
	if len(j.asking) == 0 {
		j.asking = nil
	}
}

// each calls f for all who wait and have not left by then.
func (s *shared) each(f func(*caller)) {
	if len(s.callers) == 1 {
		f(s.callers[0])
		return
	}
	for _, c := range slices.Clone(s.callers) {
		if !c.left {
			f(c)
		}
	}
}

// tellValue passes on a value that is better than those before.
func (s *shared) tellValue(value []byte, from *Contact) {
	s.each(func(c *caller) {
		if c.value != nil {
			c.value(value, from)
		}
	})
}

// tellProvider passes on a provider.
func (s *shared) tellProvider(p *Contact) {
	s.each(func(c *caller) {
		if c.provider != nil {
			c.provider(p)
		}
	})
}

// leave ends the lookup for the caller with this id alone, or for good if it is the last.
func (s *shared) leave(now time.Time, id QueryID) {
	if len(s.callers) == 1 {
		s.query.finish(now, ErrCanceled)
		return
	}
	i := slices.IndexFunc(s.callers, func(c *caller) bool { return c.id == id })
	c := s.callers[i]
	s.callers = slices.Delete(s.callers, i, i+1)
	s.node.joint.gone(c)
	c.end(now, s.query.result(now, ErrCanceled))
}

// end tells all who wait how the lookup has ended, and remembers that it found nothing.
func (s *shared) end(now time.Time, r Result) {
	s.close()
	s.remember(now, &r)
	callers := s.callers
	s.callers = nil
	for _, c := range callers {
		s.node.joint.gone(c)
	}
	for _, c := range callers {
		c.end(now, r)
	}
}

// end tells one caller the result, as of its own beginning and for itself to keep.
func (c *caller) end(now time.Time, r Result) {
	r.Report.Duration, r.Report.Joined = now.Sub(c.since), c.joined
	r.Value, r.Report.Holders = bytes.Clone(r.Value), slices.Clone(r.Report.Holders)
	c.done(now, r)
}

// remember notes whether there are records.
func (s *shared) remember(now time.Time, r *Result) {
	of, found := ofValues, r.Value != nil
	switch s.want.kind {
	case wantValue:
	case wantProviders:
		of, found = ofProviders, len(r.Providers) > 0
	default:
		return
	}
	n, target := s.node, &s.query.target
	switch {
	case found:
		n.cache.found(target, of)
	case r.Err != nil && !errors.Is(r.Err, ErrNotFound):
	case len(r.Closest) >= n.cfg.K || r.Report.Failed.Total() == 0:
		n.cache.miss(now, s.query.started, target, of)
	}
}

// storing notes that records of a kind are being stored under key, and returns what is to
// be done in the end: nobody who begins to look for them from now on, or from the end on, is
// to be told what a lookup that began before has found.
func (n *Node) storing(now time.Time, of kind, key []byte, done func(time.Time, Result)) func(time.Time, Result) {
	target := keyspace.KeyOf(key)
	note := func(now time.Time) {
		n.cache.stores(now, &target, of)
		for w, s := range n.joint.open {
			if s.query.target == target {
				delete(n.joint.open, w)
			}
		}
		if len(n.joint.open) == 0 {
			n.joint.open = nil
		}
	}
	note(now)
	return func(now time.Time, r Result) {
		note(now)
		if done != nil {
			done(now, r)
		}
	}
}
