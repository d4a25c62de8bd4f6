package kademlia

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"pgregory.net/rapid"
)

// Callers who come, leave and look for the same few things in any order: each is told its
// end exactly once, with what it would have found alone; nobody is asked the same by two
// lookups at a time; and when the last has gone nothing is left.
func TestSharedLookups(t *testing.T) {
	w := newWorld(t, 12)
	w.grow(40, func(c *Config) { c.K, c.Timing.Fresh, c.Timing.Missing = 4, -1, -1 })
	m, other := w.order[3], w.order[20]
	keys := [][]byte{[]byte("/v/a"), []byte("/v/b"), []byte("/v/c")}
	for _, key := range keys[:2] {
		w.await(other, func(done func(time.Time, Result)) {
			other.node.Store(w.now, protocol.Record{Key: key, Value: append([]byte("of "), key...)}, done)
		})
		w.await(other, func(done func(time.Time, Result)) { other.node.Provide(w.now, key, done) })
	}
	w.run(w.now.Add(time.Minute))
	rapid.Check(t, func(t *rapid.T) {
		c := &callers{T: t, world: w, member: m, running: map[QueryID]*call{}}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch {
			case rapid.IntRange(0, 3).Draw(t, "do") > 0:
				c.begin(keys[rapid.IntRange(0, 2).Draw(t, "key")])
			case len(c.running) > 0 && rapid.Bool().Draw(t, "leave"):
				c.leave(rapid.SampledFrom(c.ids()).Draw(t, "who"))
			default:
				w.run(w.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "ms")) * time.Millisecond))
			}
		}
		w.run(w.now.Add(time.Minute))
		if len(c.running) > 0 || len(m.node.joint.open)+len(m.node.joint.asking) > 0 {
			t.Fatalf("%d calls have not ended, %d lookups may be joined, %d callers are waited for", len(c.running), len(m.node.joint.open), len(m.node.joint.asking))
		}
	})
	if m.node.CacheStats().Joined == 0 {
		t.Error("nobody has joined another's lookup")
	}
}

// callers are those who ask one member at the same time.
type callers struct {
	*rapid.T
	world   *world
	member  *member
	running map[QueryID]*call
}

// call is one of them.
type call struct {
	key    string
	values [][]byte
	who    []*Contact
	told   int
	left   bool
	rash   bool // it has another leave when it is told of something
}

// begin has one more caller look for the value under key, or for its providers.
func (c *callers) begin(key []byte) {
	w, n := c.world, c.member.node
	one := &call{key: string(key), rash: rapid.Bool().Draw(c.T, "rash")}
	var id QueryID
	done := func(_ time.Time, r Result) {
		if one.told++; one.told > 1 {
			c.Fatal("a caller is told twice how its lookup has ended")
		}
		delete(c.running, id)
		c.check(one, &r)
	}
	if rapid.Bool().Draw(c.T, "providers") {
		id = n.FindProviders(w.now, key, 0, func(p *Contact) { one.who = append(one.who, p); c.told(one) }, done)
	} else {
		id = n.FindValue(w.now, key, ValueOptions{Found: func(v []byte, _ *Contact) { one.values = append(one.values, v); c.told(one) }}, done)
	}
	if one.told == 0 {
		c.running[id] = one
	}
	c.member.touch()
}

// told has a rash caller, who has just been told of something, make the last one leave.
func (c *callers) told(one *call) {
	switch ids := c.ids(); {
	case one.left:
		c.Fatal("a caller that has left is told of something")
	case one.rash && len(ids) > 0:
		c.leave(ids[len(ids)-1])
	}
}

// ids returns the callers whose lookups have begun, in order.
func (c *callers) ids() []QueryID {
	ids := make([]QueryID, 0, len(c.running))
	for id := range c.running {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// leave has a caller call its lookup off.
func (c *callers) leave(id QueryID) {
	one := c.running[id]
	one.left = true
	c.member.node.Cancel(c.world.now, id)
	if one.told != 1 {
		c.Fatal("a caller has left and was not told")
	}
	c.member.node.Cancel(c.world.now, id) // has no meaning any more
}

// check checks what a caller was told.
func (c *callers) check(one *call, r *Result) {
	there := one.key != "/v/c"
	switch {
	case one.left != (r.Err == ErrCanceled):
		c.Fatalf("left %v, and ended with %v", one.left, r.Err)
	case len(one.values) > 1 || len(one.who) > 1:
		c.Fatalf("told the same twice: %q, %v", one.values, one.who)
	case one.left:
	case there && len(one.values)+len(one.who) == 0, !there && len(one.values)+len(one.who) > 0:
		c.Fatalf("%s: told of %q and %v, %v", one.key, one.values, one.who, r.Err)
	case r.Value != nil && string(r.Value) != "of "+one.key:
		c.Fatalf("found %q", r.Value)
	}
	if r.Value != nil {
		r.Value[0] = '!' // it is the caller's own
	}
}

// What was stored is found by whoever looks for it afterwards, whatever was looked for
// while it was stored; and what others have stored no later than Timing.Missing after it
// was missed.
func TestMissingIsBelievedForSecondsOnly(t *testing.T) {
	w := newWorld(t, 13)
	w.grow(60, func(c *Config) { c.K = 5 })
	rng := rand.New(rand.NewPCG(13, 0))
	negative := uint64(0)
	for i := range 40 {
		key := fmt.Appendf(nil, "/v/%d", i)
		m, other := w.order[rng.IntN(60)], w.order[rng.IntN(60)]
		look := func() Result {
			return w.await(m, func(done func(time.Time, Result)) { m.node.FindValue(w.now, key, ValueOptions{}, done) })
		}
		m.node.FindValue(w.now, key, ValueOptions{}, nil)
		m.touch()
		w.run(w.now.Add(time.Duration(rng.IntN(200)) * time.Millisecond))
		before := w.sent
		if r := look(); r.Err != ErrNotFound {
			t.Fatalf("%s: %v", key, r.Err)
		}
		if look(); w.sent > before && m.node.CacheStats().Negative == 0 {
			t.Fatal("what was missing is looked for again at once")
		}
		negative += m.node.CacheStats().Negative
		missed := w.now
		w.await(other, func(done func(time.Time, Result)) {
			other.node.Store(w.now, protocol.Record{Key: key, Value: []byte("v")}, done)
		})
		if m != other {
			w.run(missed.Add(m.node.Timing().Missing))
		}
		if r := look(); r.Err != nil || string(r.Value) != "v" {
			t.Errorf("%s, %v after it was missed, stored by itself %v: %q, %v", key, w.now.Sub(missed), m == other, r.Value, r.Err)
		}
	}
	if negative == 0 {
		t.Error("nothing that was missing has been remembered")
	}
}
