package sim

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// plotted returns a run of 40 members that have joined, and its adversaries.
func plotted(t *testing.T, a Adversaries) *run {
	t.Helper()
	cfg := Config{Seed: 5, Nodes: 40, Adversaries: a}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	for i := range int32(cfg.Nodes) {
		r.comeUp(i)
		r.counts(i)
	}
	return r
}

// The identities of a forgery hash to where they claim to be, and are told from
// those of members and from any other bytes.
func TestForgery(t *testing.T) {
	const n = 1 << 12
	f := forge(1, n)
	for _, number := range []int32{0, 1, n - 1} {
		if got := f.number(f.id(number)); got != number {
			t.Errorf("number %d is known as %d", number, got)
		}
	}
	other := forge(2, 1)
	for _, id := range []string{"", string(idOf(1, 5)), string(f.id(n)), string(other.id(0)), string(f.id(1))[:33]} {
		if got := f.number(peer.ID(id)); got != -1 {
			t.Errorf("%x is number %d", id, got)
		}
	}
	target := keyspace.KeyOf([]byte("target"))
	near := f.nearest(&target, 20, func(i int32) bool { return i%2 == 0 })
	worst := keyspace.KeyOfString(string(f.id(near[19])))
	nearer := 0
	for i := range int32(n) {
		key := keyspace.KeyOfString(string(f.id(i)))
		if i%2 == 0 && keyspace.CompareDistance(&target, &key, &worst) < 0 {
			nearer++
		}
	}
	if len(near) != 20 || nearer != 19 {
		t.Errorf("%d identities, %d of all are nearer than the last", len(near), nearer)
	}
}

// Sybils sit nearer to their key than any honest member but one by luck, in as many subnets as
// asked for, and mined poisoners in all of the first ten buckets of their victim.
func TestWhereAdversariesSit(t *testing.T) {
	r := plotted(t, Adversaries{
		Eclipse: Eclipse{Sybils: 30, Keys: 2, Subnets: 3},
		Poison:  Poison{Sybils: 200, Mined: true},
	})
	nets := map[uint16]bool{}
	for k, raw := range r.plot.keys {
		target := keyspace.KeyOf(raw)
		second := r.keyOf(r.living.appendClosest(nil, &target, 2, isnt(-1))[1])
		for n := range int32(30) {
			i := r.plot.first + int32(k)*30 + n
			if r.plot.role(i) != sybil || keyspace.CompareDistance(&target, r.keyOf(i), second) > 0 {
				t.Errorf("member %d is %d, and not next to key %d", i, r.plot.role(i), k)
			}
			a := r.members[i].contact.Peer.Addrs[0]
			nets[uint16(a[1])<<8|uint16(a[2])] = true
		}
	}
	if len(nets) != 6 {
		t.Errorf("the Sybils of two keys live in %d subnets", len(nets))
	}
	var buckets [11]int
	victim := r.plot.targets[0]
	for i := r.plot.ends[misdirector]; i < r.plot.ends[poisoner]; i++ {
		buckets[min(10, keyspace.CommonPrefixLen(r.keyOf(victim), r.keyOf(i)))]++
	}
	if slices.Min(buckets[:10]) != 20 {
		t.Errorf("by bucket: %v", buckets)
	}
}

// Adversaries answer all six requests in the form of honest peers. What passive
// Sybils are given is lost, active ones name each other and false providers for
// the attacked key only.
func TestWhatAdversariesAnswer(t *testing.T) {
	for _, active := range []bool{false, true} {
		r := plotted(t, Adversaries{Eclipse: Eclipse{Sybils: 30, Active: active}})
		liar, key := r.plot.first, r.plot.keys[0]
		ask := func(m protocol.Message) *protocol.Message {
			i := r.net.take()
			r.net.all[i] = flight{req: &m, from: 1, to: liar}
			r.serve(i, 1)
			if r.net.all[i].err != nil {
				t.Fatalf("%v: %v", m.Type, r.net.all[i].err)
			}
			return r.net.all[i].resp
		}
		record := protocol.Record{Key: key, Value: []byte("v")}
		if put := ask(protocol.Message{Type: protocol.PutValue, Key: key, Record: record, HasRecord: true}); !put.HasRecord || string(put.Key) != string(key) {
			t.Errorf("PUT_VALUE: %+v", put)
		}
		if got := ask(protocol.Message{Type: protocol.GetValue, Key: key}); got.HasRecord || string(got.Key) != string(key) || len(got.CloserPeers) != 20 {
			t.Errorf("GET_VALUE: %+v", got)
		}
		ask(protocol.Message{Type: protocol.AddProvider, Key: key, ProviderPeers: []protocol.Peer{r.members[1].contact.Peer}})
		if got := ask(protocol.Message{Type: protocol.GetProviders, Key: key}); (len(got.ProviderPeers) == 20) != active || len(got.CloserPeers) != 20 {
			t.Errorf("GET_PROVIDERS, active %v: %d providers, %d closer peers", active, len(got.ProviderPeers), len(got.CloserPeers))
		}
		if pong := ask(protocol.Message{Type: protocol.Ping, ClusterLevel: 1}); pong.Type != protocol.Ping || len(pong.CloserPeers) != 0 {
			t.Errorf("PING: %+v", pong)
		}
		elsewhere := ask(protocol.Message{Type: protocol.FindNode, Key: []byte(r.members[7].contact.ID)})
		if string(elsewhere.CloserPeers[0].ID) != string(r.members[7].contact.ID) {
			t.Error("of other keys it does not tell the truth")
		}
		if want := uint64(2); active != (r.plot.score.lies == want) || r.plot.score.answers != 6 {
			t.Errorf("active %v: %+v", active, r.plot.score)
		}
	}
}

// Whom misdirectors name is invented: no member, near the target, at most times of
// somebody behind it; and true members are named where they are not.
func TestWhatMisdirectorsName(t *testing.T) {
	for _, m := range []Misdirect{{Share: 0.2, Peers: 50, Addrs: 3}, {Share: 0.2, Live: 0.5}, {Share: 0.2, Addresses: true}} {
		r := plotted(t, Adversaries{Misdirect: m})
		m = r.cfg.Adversaries.Misdirect
		i := r.net.take()
		r.net.all[i] = flight{req: &protocol.Message{Type: protocol.FindNode, Key: []byte("key")}, from: 1, to: r.plot.first}
		r.serve(i, 1)
		named := r.net.all[i].resp.CloserPeers
		target, hosts := keyspace.KeyOf([]byte("key")), 0
		nearest := r.keyOf(r.living.appendClosest(nil, &target, 1, isnt(-1))[0])
		for _, p := range named {
			which := r.index(peer.ID(string(p.ID)))
			key := keyspace.KeyOf(p.ID)
			switch {
			case m.Addresses:
				if which < 0 || r.plot.role(which) != honest || string(p.Addrs[0]) == string(r.members[which].contact.Peer.Addrs[0]) {
					t.Errorf("%+v: member %d under %x", m, which, p.Addrs)
				}
			case which >= -1 || len(p.Addrs) != m.Addrs || keyspace.CommonPrefixLen(&target, &key) < 4:
				t.Errorf("%+v: %d is named under %d addresses", m, which, len(p.Addrs))
			default:
				if host, there := r.plot.host(&m, which); there && r.plot.role(host) == misdirector {
					hosts++
				}
			}
		}
		if len(named) != m.Peers || (hosts > 0) != (m.Live > 0) || hosts == len(named) {
			t.Errorf("%+v: %d named, %d of them there; the nearest honest shares %d bits", m, len(named), hosts, keyspace.CommonPrefixLen(&target, nearest))
		}
	}
}

func TestSameSeedSameAttack(t *testing.T) {
	cfg := Config{
		Seed: 9, Nodes: 50, Lookups: 40, Link: Link{Loss: 0.01, Limits: Limits{On: true}}, Churn: Churn{On: true, Scale: 0.002},
		Adversaries: Adversaries{
			Eclipse:   Eclipse{Sybils: 15, Active: true},
			Misdirect: Misdirect{Share: 0.05, Live: 0.2},
			Poison:    Poison{Sybils: 40, Victims: 2, Age: 2 * time.Second, For: 20 * time.Second},
			Flood:     Flood{Flooders: 2, Victims: 2, For: 2 * time.Second},
		},
	}
	one, two := simulate(t, cfg), simulate(t, cfg)
	if one.Trace != two.Trace || *one.Spoils != *two.Spoils {
		t.Errorf("trace %s, then %s; %+v, then %+v", one.Trace, two.Trace, one.Spoils, two.Spoils)
	}
	if one.Success < 1 || one.Spoils.Adversaries != 15+3+80+2 {
		t.Errorf("success %.4f, %d adversaries", one.Success, one.Spoils.Adversaries)
	}
	cfg.Seed++
	if other := simulate(t, cfg); other.Trace == one.Trace {
		t.Error("another seed gave the same run")
	}
}

func TestMeaninglessAdversaries(t *testing.T) {
	for _, a := range []Adversaries{
		{Misdirect: Misdirect{Share: 1}},
		{Misdirect: Misdirect{Share: 0.1, Live: -1}},
		{Misdirect: Misdirect{Share: 0.1, Peers: 1 << 20}},
		{Eclipse: Eclipse{Sybils: -1}},
		{Eclipse: Eclipse{Sybils: 1000, Keys: 1000}},
		{Eclipse: Eclipse{Sybils: 1, Share: 2}},
		{Poison: Poison{Sybils: 1, Every: -1}},
		{Poison: Poison{Sybils: 1, Age: -1}},
		{Flood: Flood{Flooders: 1, Rate: -1}},
		{Flood: Flood{Flooders: 1, Rate: 1e9}},
	} {
		if _, err := Run(t.Context(), Config{Adversaries: a}, nil); err == nil || errors.Is(err, ErrInvariant) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
