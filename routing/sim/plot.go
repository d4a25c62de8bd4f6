package sim

import (
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// role is what a member is in the plot.
type role uint8

const (
	honest role = iota
	sybil       // next to an attacked key
	misdirector
	poisoner
	flooder
	numRoles
)

// plot is what the adversaries of a run share: who they are, whom they attack and
// what they have achieved.
//
// Invariant: adversaries are the members first to ends[numRoles-1]-1, those of a
// role one after another; misdirectors alone have a node.
type plot struct {
	forged   forgery
	first    int32
	ends     [numRoles]int32
	owners   map[int32]int32 // members by the number of their identity
	keys     [][]byte        // attacked
	active   bool            // the Sybils there lie about them
	always   bool            // and about all other keys
	attacked map[string]int  // the same, by key
	targets  []int32         // victims of poisoners
	flooded  []int32         // victims of flooders
	gangs
	cards map[int32]protocol.Peer
	until int64 // when the last attack ends
	score score
}

// gangs are the adversaries who name each other, by key: eclipsing Sybils, misdirectors and
// poisoners.
type gangs struct{ sybils, liars, pushers index }

// score counts what the adversaries did.
type score struct {
	requests, served, refused [numRoles]uint64
	answers, lies             uint64
	bystanders                uint64 // requests of honest members refused by a limiter
}

// role returns what member i is.
func (p *plot) role(i int32) role {
	if i < p.first || i >= p.ends[numRoles-1] {
		return honest
	}
	for what := sybil; ; what++ {
		if i < p.ends[what] {
			return what
		}
	}
}

// enlist makes the adversaries and plans what they do.
func (r *run) enlist() {
	a := &r.cfg.Adversaries
	if !a.any() {
		return
	}
	p := &r.plot
	p.forged = forge(r.cfg.Seed, min(mostForged, max(1024*r.cfg.Nodes, 2*mostSybils)))
	p.owners, p.attacked, p.cards = make(map[int32]int32), make(map[string]int), make(map[int32]protocol.Peer)
	r.bait(&a.Poison)
	p.first = int32(len(r.members))
	r.besiege(&a.Eclipse)
	p.ends[sybil] = int32(len(r.members))
	r.infiltrate(&a.Misdirect)
	p.ends[misdirector] = int32(len(r.members))
	r.gather(&a.Poison)
	p.ends[poisoner] = int32(len(r.members))
	r.muster(&a.Flood)
	p.ends[flooder] = int32(len(r.members))
	r.last = max(r.last, p.until)
}

// besiege chooses keys to attack, and makes the Sybils that sit next to them.
func (r *run) besiege(e *Eclipse) {
	p := &r.plot
	if e.Sybils == 0 {
		return
	}
	p.active, p.always = e.Active, e.Always
	for k := range e.Keys {
		raw := r.prey(k)
		p.keys = append(p.keys, raw)
		p.attacked[string(raw)] = k
		target := keyspace.KeyOf(raw)
		for n, number := range p.forged.nearest(&target, e.Sybils, p.unowned) {
			i := r.hire(number, n, e.Subnets, k)
			p.sybils.insert(r.keyOf(i), i)
			r.queue.push(r.begin-int64(r.cfg.Settle)+r.rng.Int64N(int64(time.Second)), attack, i, 0)
		}
	}
}

// prey returns the k-th key to attack: that of a record if there are so many, else
// any.
func (r *run) prey(k int) []byte {
	if r.records != nil && k < len(r.records.records) {
		return r.records.records[k].key
	}
	raw := make([]byte, 32)
	for i := 0; i < len(raw); i += 8 {
		binary.BigEndian.PutUint64(raw[i:], r.rng.Uint64())
	}
	return raw
}

// infiltrate makes the misdirectors, who join among everybody else.
func (r *run) infiltrate(m *Misdirect) {
	joins := float64(r.begin - int64(r.cfg.Settle))
	for range int(m.Share/(1-m.Share)*float64(r.cfg.Nodes) + 0.5) {
		i := r.add()
		r.members[i].client = false
		r.plot.liars.insert(r.keyOf(i), i)
		r.queue.push(int64(r.rng.Float64()*joins), join, i, 0)
	}
}

// bait chooses the victims of poisoners, or makes them.
func (r *run) bait(a *Poison) {
	if a.Sybils == 0 {
		return
	}
	for range a.Victims {
		victim := r.anybody()
		if a.Age > 0 {
			victim = r.add()
			r.members[victim].client = false
			r.queue.push(r.begin, join, victim, 0)
		}
		r.plot.targets = append(r.plot.targets, victim)
	}
}

// gather makes the poisoners.
func (r *run) gather(a *Poison) {
	p := &r.plot
	if a.Sybils == 0 {
		return
	}
	p.until = max(p.until, r.begin+int64(a.Age+a.For))
	for v, victim := range p.targets {
		for n := range a.Sybils {
			number := p.next(int32(n))
			if a.Mined {
				number = p.mined(r, r.keyOf(victim), n)
			}
			i := r.hire(number, n, a.Subnets, 1000+v)
			p.pushers.insert(r.keyOf(i), i)
			r.queue.push(r.begin+int64(a.Age)+r.rng.Int64N(int64(time.Second)), attack, i, int32(v))
		}
	}
}

// muster makes the flooders.
func (r *run) muster(f *Flood) {
	p := &r.plot
	if f.Flooders == 0 {
		return
	}
	p.until = max(p.until, r.begin+int64(f.For))
	for range f.Victims {
		p.flooded = append(p.flooded, r.anybody())
	}
	for n := range f.Flooders {
		i := r.hire(p.next(int32(n)), n, f.Flooders, 2000)
		r.queue.push(r.begin+r.rng.Int64N(int64(time.Second)), attack, i, 0)
	}
}

// anybody draws a member of the first hour that serves and is no anchor, if there
// are any such.
func (r *run) anybody() int32 {
	n := min(Anchors, r.cfg.Nodes-1)
	for range 100 {
		if i := int32(n + r.rng.IntN(r.cfg.Nodes-n)); !r.members[i].client {
			return i
		}
	}
	return 0
}

// hire makes the member that bears a made identity; crew and nets say in which
// subnets it and its like live.
func (r *run) hire(number int32, n, nets, crew int) int32 {
	i := int32(len(r.members))
	net := subnet(mix(r.cfg.Seed + uint64(crew)<<32 + uint64(n%max(1, nets))))
	addr := multiaddr(net, uint16(n), uint16(1024+i%60000))
	r.members = append(r.members, member{
		contact: r.directory.put(i, kademlia.NewContact(r.plot.forged.id(number), [][]byte{addr})),
		region:  regionOf(r.rng.Float64()), fate: Fine, up: true, life: 1,
	})
	r.plot.owners[number] = i
	return i
}

func (p *plot) unowned(number int32) bool { _, owned := p.owners[number]; return !owned }

// next returns the first identity from number on that nobody bears.
func (p *plot) next(number int32) int32 {
	for !p.unowned(number) {
		number++
	}
	return number
}

// mined returns an identity for bucket n/20 of the peer at key, as far as there
// are any so near, and then for the first buckets again.
func (p *plot) mined(r *run, key *keyspace.Key, n int) int32 {
	target := *key
	for i := 8; i < len(target); i++ {
		target[i] = byte(r.rng.Uint32())
	}
	bucket := n / 20 % 12
	binary.BigEndian.PutUint64(target[:8], prefixOf(key)^1<<(63-bucket)^r.rng.Uint64()>>(bucket+1))
	return p.forged.nearest(&target, 1, p.unowned)[0]
}

// index returns the member that bears a made identity, or which one it is as a
// number below -1, or -1 if id is none.
func (p *plot) index(id peer.ID) int32 {
	number := p.forged.number(id)
	if number < 0 {
		return -1
	}
	if i, owned := p.owners[number]; owned {
		return i
	}
	return -2 - number
}

// host returns the misdirector behind an invented peer, if there is one; which is
// what index has returned.
func (p *plot) host(a *Misdirect, which int32) (int32, bool) {
	n := p.ends[misdirector] - p.ends[sybil]
	if which > -2 || n == 0 {
		return 0, false
	}
	x := mix(p.forged.seed ^ uint64(-2-which))
	return p.ends[sybil] + int32(mix(x)%uint64(n)), unit(x) < a.Live
}
