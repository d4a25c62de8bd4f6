package sim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// Every invariant can fail: each is broken here on purpose, in a network that is
// otherwise well, and must be told.
func TestEveryInvariantCanFail(t *testing.T) {
	var none kademlia.Result
	for _, c := range []struct {
		want     string
		cfg      Config
		sabotage func(r *run, w *watched)
	}{
		{"twice", Config{}, func(r *run, w *watched) {
			r.checks.asks(1, r.members[1].contact)
			r.checks.asks(1, r.members[1].contact)
		}},
		{"in flight", Config{Node: kademlia.Config{Alpha: 3}}, func(r *run, _ *watched) {
			for i := range 4 {
				r.checks.asks(1, r.members[1+i].contact)
			}
		}},
		{"has asked", Config{}, func(r *run, w *watched) {
			w.asked = make([]asked, mostAsked)
			for i := range w.asked {
				w.asked[i].to, w.asked[i].settled = -1, true
			}
			r.checks.asks(1, r.members[1].contact)
		}},
		{"not under way", Config{}, func(r *run, _ *watched) {
			r.checks.asks(1, r.members[1].contact)
			r.checks.settles(1, r.members[2].contact, protocol.ErrTimeout)
		}},
		{"ended 2 times", Config{}, func(_ *run, w *watched) {
			w.done(epoch, none)
			w.done(epoch, none)
		}},
		{"returned 21 peers", Config{}, func(r *run, w *watched) {
			w.done(epoch, kademlia.Result{Closest: closestOf(r, 21)})
		}},
		{"no deadline", Config{}, func(r *run, _ *watched) {
			r.checks.asks(1, r.members[1].contact)
			r.checks.sleeps(0)
		}},
		{"has not ended", Config{}, func(r *run, _ *watched) { r.checks.asks(1, r.members[1].contact) }},
		{"requests, ", Config{}, func(r *run, w *watched) { r.net.sent++; w.done(epoch, none) }},
		{"exactly the true nearest", Config{MinExact: 0.9}, func(r *run, w *watched) {
			r.counts(3)
			w.done(epoch, none)
		}},
		{"without cause", Config{}, func(r *run, w *watched) {
			r.counts(3)
			r.checks.admits()
			r.trace.Evicted(r.members[3].contact, errors.New("somebody else wanted its place"))
			w.done(epoch, none)
		}},
		{"came and did not leave", Config{}, func(r *run, w *watched) {
			r.checks.admits()
			r.checks.holds(0)
			w.done(epoch, none)
		}},
		{"brought 22 peers", Config{}, func(r *run, w *watched) {
			r.trace.Answered(1, r.members[1].contact, closestOf(r, 22))
			w.done(epoch, none)
		}},
		{"brought 17 addresses", Config{}, func(r *run, w *watched) {
			long := *r.members[2].contact
			long.Peer.Addrs = make([][]byte, 17)
			r.trace.Answered(1, r.members[1].contact, []*kademlia.Contact{&long})
			w.done(epoch, none)
		}},
		{`"misled" was asked for`, Config{Adversaries: Adversaries{Misdirect: Misdirect{Share: 0.1}}}, nil},
		{`"sybil asked" was asked for`, Config{Adversaries: Adversaries{Eclipse: Eclipse{Sybils: 5}}}, nil},
		{`"pushed at" was asked for`, Config{Adversaries: Adversaries{Poison: Poison{Sybils: 5}}}, nil},
		{`"flooded" was asked for`, Config{Adversaries: Adversaries{Flood: Flood{Flooders: 5}}}, nil},
		{`"hung" was asked for`, Config{Faults: Faults{Hung: 0.1}}, func(_ *run, w *watched) { w.done(epoch, none) }},
	} {
		cfg := c.cfg
		cfg.Nodes = 30
		if err := cfg.fill(); err != nil {
			t.Fatal(err)
		}
		r := newRun(cfg)
		for i := range cfg.Nodes {
			r.comeUp(int32(i))
		}
		r.acting = 0
		w := r.checks.watch(0, []byte("key"))
		r.checks.starting = w
		if c.sabotage != nil {
			c.sabotage(r, w)
		}
		report := r.report(time.Second)
		err := r.verdict(&report)
		if !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), c.want) || report.Broken == 0 {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}

func closestOf(r *run, n int) (all []*kademlia.Contact) {
	for i := range n {
		all = append(all, r.members[i].contact)
	}
	return all
}

// A peer that could not be reached may be asked again under other addresses.
func TestRedialUnderOtherAddresses(t *testing.T) {
	cfg := Config{Nodes: 30}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	r.checks.starting = r.checks.watch(0, []byte("key"))
	peer := r.members[1].contact
	other := kademlia.NewContact(peer.ID, r.members[2].contact.Peer.Addrs)
	r.checks.asks(1, peer)
	r.checks.settles(1, peer, protocol.ErrUnreachable)
	r.checks.asks(1, other)
	if r.checks.broken != 0 {
		t.Errorf("%v", r.checks.violations)
	}
	r.checks.settles(1, other, nil)
	r.checks.asks(1, other)
	if r.checks.broken != 1 {
		t.Errorf("%v", r.checks.violations)
	}
}

// Lookups that take hours are found out.
func TestSleepersAreFoundOut(t *testing.T) {
	cfg := Config{Seed: 9, Nodes: 60, Lookups: 20, Settle: 6 * time.Hour, Link: Link{RTTScale: 500}}
	cfg.Node.Timing.Slot, cfg.Node.Timing.GiveUp = 24*time.Hour, 24*time.Hour
	cfg.Link.Deadline, cfg.Link.Dial = 23*time.Hour, 23*time.Hour
	_, err := Run(t.Context(), cfg, nil)
	if !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf("%v", err)
	}
}
