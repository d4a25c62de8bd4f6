package sim

import (
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/protocol"
)

// attacks has an adversary do what it does next; what says how far it has come.
func (r *run) attacks(who, what int32) {
	switch r.plot.role(who) {
	case sybil:
		r.introduces(who, what)
	case poisoner:
		r.pushes(who, what)
	case flooder:
		r.floods(who, what)
	}
}

const (
	// introductions follow each other at this pace, and begin again after a while
	// for those who have come since, or fallen out of touch.
	introductions = int64(50 * time.Millisecond)
	again         = int64(time.Minute)
)

// introduces has a Sybil ask one more of the honest members around it for its own
// key, as who joins does, so that they get to know it.
func (r *run) introduces(who, what int32) {
	reach := r.cfg.Adversaries.Eclipse.Reach
	around := r.living.appendClosest(nil, r.keyOf(who), reach, isnt(who))
	switch {
	case int(what) < len(around):
		r.approach(who, around[what], []byte(r.members[who].contact.ID))
		r.queue.push(r.now+introductions, attack, who, what+1)
	case len(around) < min(reach, r.cfg.Nodes/2):
		r.queue.push(r.now+int64(time.Second), attack, who, what)
	case r.now < r.last:
		r.queue.push(r.now+again, attack, who, 0)
	}
}

// pushes has a poisoner connect to its victim anew.
func (r *run) pushes(who, victim int32) {
	a := &r.cfg.Adversaries.Poison
	target := r.plot.targets[victim]
	if r.members[target].up {
		r.disconnect(who, target)
		r.approach(who, target, []byte(r.members[who].contact.ID))
		r.fired[Poisoned]++
	}
	if next := r.now + int64(a.Every); next < r.plot.until {
		r.queue.push(next, attack, who, victim)
	}
}

// floods has a flooder send its next request.
func (r *run) floods(who, what int32) {
	f := &r.cfg.Adversaries.Flood
	key := make([]byte, 32)
	binary.BigEndian.PutUint64(key, r.rng.Uint64())
	target := r.plot.flooded[int(what)%len(r.plot.flooded)]
	r.approach(who, target, key)
	r.fired[Flooded]++
	if next := r.now + int64(float64(time.Second)/f.Rate); next < r.begin+int64(f.For) {
		r.queue.push(next, attack, who, what+1)
	}
}

// approach sends an adversary's own request.
func (r *run) approach(who, to int32, key []byte) {
	r.acting = who
	r.plot.score.requests[r.plot.role(who)]++
	r.Send(0, r.members[to].contact, &protocol.Message{Type: protocol.FindNode, Key: key, ClusterLevel: 1})
}

// told notes the outcome of an adversary's own request.
func (p *plot) told(fl *flight) {
	if what := p.role(fl.from); fl.err == nil {
		p.score.served[what]++
	} else {
		p.score.refused[what]++
	}
}

// meets sends flight i to whom an invented peer may be: to the misdirector that
// poses as it, over a connection of its own, or nowhere.
func (r *run) meets(i, which int32) {
	host, there := r.plot.host(&r.cfg.Adversaries.Misdirect, which)
	if !there {
		r.strays(i)
		return
	}
	fl := &r.net.all[i]
	fl.to = host
	rtt := r.rtt(fl.from, host)
	r.net.dials++
	r.checks.dialled(false)
	r.queue.push(r.now+r.setUp(host, rtt)+r.oneWay(rtt), arrive, host, i)
}

// chooses returns what the next lookup asks for: key, or an attacked key.
func (p *plot) chooses(r *run, key []byte) []byte {
	if len(p.keys) == 0 || r.rng.Float64() >= r.cfg.Adversaries.Eclipse.Share {
		return key
	}
	return p.keys[r.rng.IntN(len(p.keys))]
}
