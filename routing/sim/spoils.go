package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
)

// Spoils is what the adversaries of a run achieved.
type Spoils struct {
	Adversaries int // members among them
	// Requests is what they sent, Answers what they gave, Lies those among these
	// that named peers or places of their choice.
	Requests, Answers, Lies uint64
	// Astray counts the dials, of lookups or not, to addresses where nobody is,
	// AstrayPerLie those for each lie told.
	Astray       uint64
	AstrayPerLie float64
	// Tables is the share of adversaries in the tables of honest members.
	Tables float64
	// Attacked tells of the lookups of keys with Sybils next to them, Others of the
	// rest.
	Attacked, Others Harm
	Victims          Victims
	Flood            Floods
}

// Harm is what lookups suffered; figures without a unit are means of one lookup.
type Harm struct {
	Ended int
	// Eclipsed is the share of lookups that found none of the honest members truly
	// nearest, Starved of those that found less than half of them, Recall the share of
	// these that were found.
	Eclipsed, Starved, Recall float64
	// Met is the share of these that were asked and have answered, whether or not they
	// were returned; Unmet that of lookups to which none of them has: what only they hold
	// cannot have been read.
	Met, Unmet float64
	// Hostile is the share of adversaries and invented peers among those returned.
	Hostile float64
	// Messages is the requests of one lookup, Astray the dials to addresses where
	// nobody is, MostAstray those of the worst.
	Messages, Astray float64
	MostAstray       int
}

// Victims is how poisoned members stand at the end.
type Victims struct {
	Up int // that are judged
	// Table is the share of adversaries in their tables, Answers that in what they
	// name to who asks them for random keys; Honest is how many honest members a table
	// holds.
	Table, Answers, Honest float64
}

// Floods is what flooders got.
type Floods struct {
	Sent, Served, Refused uint64
	// PerSecond is what one of them got served in a second, as a mean.
	PerSecond float64
	// Bystanders counts the requests of honest members that a limiter refused.
	Bystanders uint64
}

// spoils sums up what the adversaries achieved, nil if there are none.
func (r *run) spoils() *Spoils {
	p, t := &r.plot, &r.plot.score
	if !r.cfg.Adversaries.any() {
		return nil
	}
	s := &Spoils{Adversaries: int(p.ends[numRoles-1] - p.first), Answers: t.answers, Lies: t.lies, Astray: r.net.astray}
	for _, n := range t.requests {
		s.Requests += n
	}
	s.AstrayPerLie = float64(s.Astray) / float64(max(1, s.Lies))
	var attacked, others []outcome
	for _, o := range r.checks.walked(false) {
		if o.attacked {
			attacked = append(attacked, o)
		} else {
			others = append(others, o)
		}
	}
	s.Attacked, s.Others = harm(attacked), harm(others)
	s.Tables = r.infested()
	s.Victims = r.victims()
	f := &r.cfg.Adversaries.Flood
	s.Flood = Floods{Sent: t.requests[flooder], Served: t.served[flooder], Refused: t.refused[flooder], Bystanders: t.bystanders}
	s.Flood.PerSecond = float64(s.Flood.Served) / float64(max(1, f.Flooders)) / f.For.Seconds()
	return s
}

// harm makes means and shares of what single lookups suffered.
func harm(all []outcome) (h Harm) {
	h.Ended = len(all)
	var right, met, wanted, hostile, found int
	for i := range all {
		o := &all[i]
		right, met, wanted = right+int(o.right), met+int(o.met), wanted+int(o.wanted)
		hostile, found = hostile+int(o.hostile), found+int(o.found)
		h.Eclipsed += one(o.right == 0)
		h.Unmet += one(o.met == 0)
		h.Starved += one(2*o.right < o.wanted)
		h.Messages += float64(o.asked)
		h.Astray += float64(o.astray)
		h.MostAstray = max(h.MostAstray, int(o.astray))
	}
	for _, v := range []*float64{&h.Eclipsed, &h.Starved, &h.Unmet, &h.Messages, &h.Astray} {
		*v /= float64(max(1, h.Ended))
	}
	h.Recall = float64(right) / float64(max(1, wanted))
	h.Met = float64(met) / float64(max(1, wanted))
	h.Hostile = float64(hostile) / float64(max(1, found))
	return h
}

// isHostile reports whether a peer that a table holds or a lookup returned is an
// adversary, or invented by one.
func (r *run) isHostile(c *kademlia.Contact) bool {
	i := r.index(c.ID)
	return i < 0 || r.plot.role(i) != honest
}

// hostiles counts the adversaries among peers.
func (r *run) hostiles(some []*kademlia.Contact) (n int) {
	for _, c := range some {
		n += int(one(r.isHostile(c)))
	}
	return n
}

// infested returns the share of adversaries in the tables of up to 1,000 honest
// members.
func (r *run) infested() float64 {
	var bad, all int
	var contacts []*kademlia.Contact
	for i := 0; i < len(r.members); i += max(1, len(r.members)/1000) {
		if m := &r.members[i]; m.counted {
			v := m.node.View()
			contacts = v.AppendClosest(contacts[:0], r.keyOf(int32(i)), v.Len())
			bad, all = bad+r.hostiles(contacts), all+len(contacts)
		}
	}
	return float64(bad) / float64(max(1, all))
}

// victims judges the tables of those that were pushed at, and what they would
// answer to who asks them for any of 200 keys.
func (r *run) victims() (v Victims) {
	rng := rand.New(rand.NewPCG(r.cfg.Seed, 7))
	var bad, size, named, badNamed int
	for _, i := range r.plot.targets {
		m := &r.members[i]
		if !m.up || m.node == nil {
			continue
		}
		v.Up++
		view := m.node.View()
		table := view.AppendClosest(nil, r.keyOf(i), view.Len())
		bad, size = bad+r.hostiles(table), size+len(table)
		for range 200 {
			key := keyspace.KeyOf([]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())})
			answer := view.AppendClosest(table[:0], &key, r.cfg.Node.K)
			named, badNamed = named+len(answer), badNamed+r.hostiles(answer)
		}
	}
	v.Table = float64(bad) / float64(max(1, size))
	v.Answers = float64(badNamed) / float64(max(1, named))
	v.Honest = float64(size-bad) / float64(max(1, v.Up))
	return v
}

// suffered is what adversaries did to a lookup.
type suffered struct {
	attacked       bool  // its key was
	found, hostile uint8 // peers returned, and adversaries among them
	astray         uint16
}

// suffer notes in o what adversaries did to the lookup.
func (w *watched) suffer(o *outcome, found []*kademlia.Contact) {
	r := w.checks.run
	o.found, o.hostile = uint8(len(found)), uint8(r.hostiles(found))
	o.astray = uint16(w.astray)
	o.attacked = slices.ContainsFunc(r.plot.keys, func(raw []byte) bool { return keyspace.KeyOf(raw) == w.target })
}

// spoils writes what the adversaries achieved.
func (e *text) spoils(s *Spoils) {
	e.printf("attack    %d adversaries: %d requests, %d answers, %d of them lies; %.4f of honest tables; %d dials astray, %.2f for each lie\n",
		s.Adversaries, s.Requests, s.Answers, s.Lies, s.Tables, s.Astray, s.AstrayPerLie)
	e.harm("attacked keys", &s.Attacked)
	e.harm("other keys", &s.Others)
	if v := &s.Victims; v.Up > 0 {
		e.printf("          %d victims: adversaries are %.4f of their tables, %.4f of their answers; %.0f honest members each\n",
			v.Up, v.Table, v.Answers, v.Honest)
	}
	if f := &s.Flood; f.Sent > 0 {
		e.printf("          flood: %d sent, %d served, %d refused, each got %.0f a second; %d requests of honest members refused\n",
			f.Sent, f.Served, f.Refused, f.PerSecond, f.Bystanders)
	}
}

func (e *text) harm(name string, h *Harm) {
	if h.Ended > 0 {
		e.printf("          %s: of %d lookups %.4f eclipsed, %.4f starved, recall %.4f, %.4f met, %.4f of the peers found hostile; %.1f messages, %.2f astray, %d at most\n",
			name, h.Ended, h.Eclipsed, h.Starved, h.Recall, h.Met, h.Hostile, h.Messages, h.Astray, h.MostAstray)
	}
}
