package sim

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Fault is one way in which the network or a peer fails.
type Fault uint8

// The faults; what each does stands with the fields of Faults and Link. A peer
// that has left refuses, one that has crashed is a black hole.
const (
	Fine Fault = iota
	Refuse
	BlackHole
	Hung
	NATed
	Tarpit
	Client
	Parted
	Nowhere
	Lost
	Skewed
	Left
	Crashed
	Restarted
	Jumped
	Eclipsed
	Misled
	Poisoned
	Flooded
	Limited
	numFaults
)

var faultNames = [numFaults]string{
	"fine", "refused", "black hole", "hung", "natted", "tarpit", "client asked", "partition", "nobody there", "lost packet", "clock skew",
	"left", "crashed", "restarted", "clock jump", "sybil asked", "misled", "pushed at", "flooded", "rate limited",
}

// String returns the fault's name.
func (f Fault) String() string { return faultNames[f] }

// member is one peer of the run, up or not.
type member struct {
	node    *kademlia.Node // nil while it is not up
	contact *kademlia.Contact
	conns   []int32 // connections, longest unused first
	wakeAt  int64   // when the node is to be woken, 0 if never
	skew    int64   // its clock's error in nanoseconds
	life    uint32  // how often it has come up
	held    int32   // how many its table holds, as it has told
	fate    Fault   // what it does while up; when down, Refuse or BlackHole
	region  uint8
	far     bool // on the far side of a cut
	client  bool
	up      bool
	counted bool // in the index of those that can be found
}

// apart reports whether a cut lies between two members.
func (r *run) apart(a, b int32) bool { return r.cutNow && r.members[a].far != r.members[b].far }

// add makes a member that is not up yet.
func (r *run) add() int32 {
	i := int32(len(r.members))
	m := member{
		contact: r.directory.put(i, kademlia.NewContact(idOf(r.cfg.Seed, i), [][]byte{addressOf(r.cfg.Seed, i)})),
		region:  regionOf(r.rng.Float64()), fate: BlackHole,
	}
	f := &r.cfg.Faults
	m.far = r.rng.Float64() < f.Partition
	if i >= Anchors {
		m.client = r.rng.Float64() < f.Clients
		m.skew = int64((2*r.rng.Float64() - 1) * float64(f.Skew))
	}
	r.members = append(r.members, m)
	return i
}

// nature draws what a member is like while it is up.
func (r *run) nature(i int32) Fault {
	u := unit(mix(r.cfg.Seed ^ uint64(i)<<20))
	f := &r.cfg.Faults
	switch {
	case i < Anchors || r.members[i].client || r.plot.role(i) != honest:
		return Fine
	case u < f.NATed:
		return NATed
	case u < f.NATed+f.Tarpit:
		return Tarpit
	}
	return Fine
}

// comeUp starts a member with an empty table, and has it join.
func (r *run) comeUp(i int32) {
	m := &r.members[i]
	cfg := r.cfg.Node
	if i%1000 != 999 {
		cfg.Whole = 0 // every thousandth learns the whole network
	}
	cfg.Self, cfg.Network, cfg.Trace, cfg.Known = m.contact.ID, r, r.trace, r.knownOne
	cfg.Rand = rand.New(rand.NewPCG(mix(r.cfg.Seed), mix(uint64(i)<<32|uint64(m.life))))
	if r.cfg.Link.Public {
		cfg.Connected, cfg.Locate = func(id peer.ID) (netip.Addr, bool) { return r.connection(i, id) }, profile.Locate
	}
	node, err := kademlia.NewNode(cfg)
	if err != nil {
		r.violated("member %d: %v", i, err)
		return
	}
	m.node, m.up, m.life, m.wakeAt, m.held = node, true, m.life+1, 0, 0
	m.fate = r.nature(i)
	if m.skew != 0 {
		r.fired[Skewed]++
	}
	r.ups++
	r.queue.push(r.now+int64(time.Minute), settled, i, int32(m.life))
	r.cameBack(i)
	r.records.cameUp(i)
}

// joins brings a member up if need be, and tells it of an anchor as long as it
// knows nobody.
func (r *run) joins(i int32) {
	m := &r.members[i]
	if !m.up {
		r.comeUp(i)
		if r.resumes(i) {
			return
		}
	}
	if m.node == nil || m.node.View().Len() > 0 || i == 0 {
		return
	}
	anchor := int32(r.rng.IntN(min(Anchors, len(r.members))))
	if i < Anchors {
		anchor %= i
	}
	if anchor != i {
		r.act(i, func(now time.Time) { m.node.PeerSeen(now, r.members[anchor].contact) })
	}
	r.queue.push(r.now+int64(30*time.Second), join, i, int32(m.life))
}

// counts takes a member that has had time to become known into the index of those
// that a lookup should find.
func (r *run) counts(i int32) {
	m := &r.members[i]
	if m.up && m.fate == Fine && !m.client && !m.counted && r.plot.role(i) == honest {
		m.counted = true
		r.living.insert(r.keyOf(i), i)
	}
}

// goesDown ends a member's life; how says what is left of it.
func (r *run) goesDown(i int32, how Fault) {
	m := &r.members[i]
	if m.counted {
		m.counted = false
		r.living.remove(r.keyOf(i))
	}
	m.fate = how
	if how == Hung {
		return // it still runs, and serves nobody
	}
	r.saves(i)
	r.records.wentDown(i)
	m.up, m.node, m.wakeAt = false, nil, 0
	r.checks.died(i)
	r.hangUp(i, how == Refuse)
}

// departs ends a session: half leave in order, half crash. Another comes in its
// place.
func (r *run) departs(i int32) {
	if !r.members[i].up {
		return
	}
	how := Refuse
	if r.rng.Uint64()&1 == 0 {
		how = BlackHole
		r.fired[Crashed]++
	} else {
		r.fired[Left]++
	}
	at := r.now + int64(r.rng.ExpFloat64()*float64(r.cfg.Churn.Gap))
	if how == Refuse && r.records.leavesInOrder(i) {
		at += int64(farewell)
	} else {
		r.goesDown(i, how)
	}
	next := i
	if r.rng.Float64() >= r.cfg.Churn.Return {
		next = r.add()
		delete(r.comebacks.saved, i)
	}
	r.queue.push(at, join, next, 0)
	r.queue.push(at+r.session(r.rng.Float64()), depart, next, 0)
}

// sessionSteps are points of the distribution of session lengths, as measured on
// the public network: half ≤ 2 h, 80 % ≤ 8 h, 2.5 % > 24 h. Between two points
// the logarithm of the length is uniform.
var sessionSteps = []struct {
	share  float64
	length time.Duration
}{
	{0, 2 * time.Minute}, {0.5, 2 * time.Hour}, {0.8, 8 * time.Hour}, {0.975, 24 * time.Hour}, {1, 14 * 24 * time.Hour},
}

// session returns the length below which a share u of all sessions lies.
func (r *run) session(u float64) int64 {
	for i := 1; i < len(sessionSteps); i++ {
		a, b := sessionSteps[i-1], sessionSteps[i]
		if u <= b.share {
			part := (u - a.share) / (b.share - a.share)
			length := float64(a.length) * math.Pow(float64(b.length)/float64(a.length), part)
			return int64(length * r.cfg.Churn.Scale)
		}
	}
	return int64(float64(sessionSteps[len(sessionSteps)-1].length) * r.cfg.Churn.Scale)
}

// remaining draws what is left of the session of a peer met at a random moment:
// long sessions are met more often, by their length.
func (r *run) remaining() int64 {
	const longest = float64(14 * 24 * time.Hour)
	for {
		s := r.session(r.rng.Float64())
		if r.rng.Float64()*longest*r.cfg.Churn.Scale < float64(s) {
			return int64(r.rng.Float64() * float64(s))
		}
	}
}

// startChurn gives every member but the anchors the rest of a session.
func (r *run) startChurn() {
	for i := int32(Anchors); int(i) < r.cfg.Nodes; i++ {
		r.queue.push(r.now+r.remaining(), depart, i, 0)
	}
}

// strikes has the shares of Faults die that are to die when the lookups begin.
func (r *run) strikes() {
	f := &r.cfg.Faults
	for i := int32(Anchors); int(i) < len(r.members); i++ {
		m := &r.members[i]
		if !m.up || m.client || m.fate != Fine || r.plot.role(i) != honest {
			continue
		}
		u := r.rng.Float64()
		switch {
		case u < f.Refuse:
			r.goesDown(i, Refuse)
		case u < f.Refuse+f.BlackHole:
			r.goesDown(i, BlackHole)
		case u < f.Refuse+f.BlackHole+f.Hung:
			r.goesDown(i, Hung)
		}
	}
}
