package sim

import (
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// lies has the adversary that flight fl went to answer it, whatever it asks. Every
// answer has the form that an honest peer's would have.
func (p *plot) lies(r *run, fl *flight, resp *protocol.Message) {
	req := fl.req
	p.score.answers++
	resp.Key = req.Key
	switch req.Type {
	case protocol.Ping, protocol.PutValue:
		resp.Echo(req) // "stored"
	case protocol.AddProvider:
	case protocol.GetProviders:
		if p.deceives(fl) {
			p.promise(r, req.Key, resp)
		}
		p.refer(r, fl, resp)
	default:
		resp.Key = nil
		if req.Type == protocol.GetValue {
			resp.Key = req.Key
		}
		p.refer(r, fl, resp)
	}
	p.swallows(r, fl)
}

// swallows counts requests about attacked keys, which all end here: what is to be
// stored is lost, and what is asked for is not told.
func (p *plot) swallows(r *run, fl *flight) {
	if _, about := p.attacked[string(fl.req.Key)]; about && p.role(fl.to) == sybil {
		r.fired[Eclipsed]++
	}
}

// deceives reports whether a request is answered with lies: misdirectors lie to
// all who do not just ask whether they are there, active Sybils about the keys
// they attack or about all, poisoners always.
func (p *plot) deceives(fl *flight) bool {
	switch p.role(fl.to) {
	case sybil:
		_, about := p.attacked[string(fl.req.Key)]
		return p.active && (about || p.always)
	case misdirector, poisoner:
		return true
	}
	return false
}

// refer names peers that are nearer to the key asked for.
func (p *plot) refer(r *run, fl *flight, resp *protocol.Message) {
	target := keyspace.KeyOf(fl.req.Key)
	if !p.deceives(fl) {
		p.tellTruth(r, fl, &target, resp)
		return
	}
	p.score.lies++
	m := &r.cfg.Adversaries.Misdirect
	switch p.role(fl.to) {
	case sybil:
		p.name(r, p.sybils.appendClosest(nil, &target, r.cfg.Node.K, isnt(fl.from)), resp)
	case poisoner:
		p.name(r, p.pushers.appendClosest(nil, &target, r.cfg.Node.K, isnt(fl.to)), resp)
	case misdirector:
		r.fired[Misled]++
		switch {
		case m.Mutual:
			p.name(r, p.liars.appendClosest(nil, &target, m.Peers, isnt(fl.from)), resp)
		case m.Addresses:
			p.displace(r, r.living.appendClosest(nil, &target, m.Peers, isnt(fl.from)), resp)
		default:
			p.invent(m, fl.to, &target, resp)
		}
	}
}

func isnt(who int32) func(int32) bool { return func(i int32) bool { return i != who } }

// tellTruth names the members that really are nearest, Sybils among them.
func (p *plot) tellTruth(r *run, fl *flight, target *keyspace.Key, resp *protocol.Message) {
	k := r.cfg.Node.K
	good := r.living.appendClosest(nil, target, k, isnt(fl.from))
	bad := p.sybils.appendClosest(nil, target, k, isnt(fl.from))
	for len(resp.CloserPeers) < k && len(good)+len(bad) > 0 {
		next := &bad
		if len(bad) == 0 || len(good) > 0 && keyspace.CompareDistance(target, r.keyOf(good[0]), r.keyOf(bad[0])) < 0 {
			next = &good
		}
		resp.CloserPeers = append(resp.CloserPeers, r.members[(*next)[0]].contact.Peer)
		*next = (*next)[1:]
	}
}

// name names members.
func (p *plot) name(r *run, some []int32, resp *protocol.Message) {
	for _, i := range some {
		resp.CloserPeers = append(resp.CloserPeers, r.members[i].contact.Peer)
	}
}

// displace names true members where they are not.
func (p *plot) displace(r *run, some []int32, resp *protocol.Message) {
	for _, i := range some {
		card, known := p.cards[i]
		if !known {
			card = protocol.Peer{ID: []byte(r.members[i].contact.ID), Addrs: falseAddrs(r.cfg.Seed, i, r.cfg.Adversaries.Misdirect.Addrs)}
			p.cards[i] = card
		}
		resp.CloserPeers = append(resp.CloserPeers, card)
	}
}

// windows is how many sets of invented peers misdirectors name in turn, if nobody
// is behind them: each to be dialled in vain anew.
const windows = 16

// invent names identities made beforehand that nobody bears, nearest first. If
// there is somebody behind them, all misdirectors name the same.
func (p *plot) invent(m *Misdirect, liar int32, target *keyspace.Key, resp *protocol.Message) {
	skip := 0
	if m.Live == 0 {
		skip = m.Peers * int(mix(uint64(liar))%windows)
	}
	some := p.forged.nearest(target, skip+m.Peers, p.unowned)
	for _, number := range some[min(skip, len(some)):] {
		resp.CloserPeers = append(resp.CloserPeers, p.card(m, number))
	}
}

// card returns how an invented peer is named.
func (p *plot) card(m *Misdirect, number int32) protocol.Peer {
	card, known := p.cards[-1-number]
	if !known {
		card = protocol.Peer{ID: []byte(p.forged.id(number)), Addrs: falseAddrs(p.forged.seed, -1-number, m.Addrs)}
		p.cards[-1-number] = card
	}
	return card
}

// falseAddrs returns n addresses anywhere.
func falseAddrs(seed uint64, of int32, n int) (addrs [][]byte) {
	x := mix(seed ^ uint64(of)<<3)
	for range n {
		x = mix(x)
		addrs = append(addrs, multiaddr(subnet(x), uint16(x>>16), uint16(x>>32)|1))
	}
	return addrs
}

// promise names providers that are none.
func (p *plot) promise(r *run, key []byte, resp *protocol.Message) {
	target := keyspace.KeyOf(key)
	for _, number := range p.forged.nearest(&target, r.cfg.Node.K, p.unowned) {
		resp.ProviderPeers = append(resp.ProviderPeers, p.card(&r.cfg.Adversaries.Misdirect, number))
	}
}
