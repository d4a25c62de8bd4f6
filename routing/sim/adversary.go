package sim

import (
	"errors"
	"time"
)

// Adversaries are members that work against the others, in four ways at once if
// need be. What they have in common: they know of everybody, as a crawler would,
// they answer everything that is asked, and they hold identities made beforehand.
type Adversaries struct {
	Eclipse   Eclipse
	Misdirect Misdirect
	Poison    Poison
	Flood     Flood
}

// Eclipse places Sybils next to keys, nearer than any honest member but by luck, so
// that what is stored there ends up with them (reliability.md T2).
type Eclipse struct {
	// Sybils is how many sit next to each of Keys keys (1): those of the run's first
	// records, values before providers, and then any.
	Sybils, Keys int
	// Active Sybils name, for the attacked keys, nobody but each other and false
	// providers. Passive ones answer well and store nothing.
	Active bool
	// Always has active ones lie whatever key they are asked about.
	Always bool
	// Subnets is in how many /16s the Sybils of a key have their addresses (40).
	Subnets int
	// Reach is to how many honest members, nearest to the key, each makes itself
	// known, from the end of the joins on (100).
	Reach int
	// Share is that of lookups which ask for attacked keys (0.5).
	Share float64
}

// Misdirect has ordinary members answer with peers that are very near to whatever
// is asked for, and invented (T3, T4). They are dialled at addresses of the
// adversary's choice.
type Misdirect struct {
	// Share is that of the serving members, above the Nodes asked for, that lie.
	Share float64
	// Live is the share of the invented peers that are there: behind their addresses
	// is one of the liars. The others are nowhere.
	Live float64
	// Peers is how many an answer names (20), Addrs how many addresses each has (1).
	Peers, Addrs int
	// Addresses has them name true peers instead, under false addresses. Mutual has them
	// name each other, those nearest to what is asked for: S/Kademlia's adversary, who has
	// no identities but those of members.
	Addresses, Mutual bool
}

// Poison has Sybils push themselves into the tables of victims (T1), and name only
// each other.
type Poison struct {
	// Sybils is how many push at each of Victims victims (1).
	Sybils, Victims int
	// Subnets is in how many /16s these Sybils have their addresses (40).
	Subnets int
	// Age is how long the victims have been up when it begins. If 0 they are members
	// that have joined with everybody else, otherwise they come up with the first
	// lookup.
	Age time.Duration
	// Mined Sybils have identities made beforehand for each bucket of the victim.
	Mined bool
	// Every is when each pushes again (30 s), For how long it goes on (2 min).
	Every, For time.Duration
}

// Flood has members send requests as fast as told, from the first lookup on (T6).
type Flood struct {
	// Flooders is how many there are, Victims how many honest members they all send
	// to in turn (1), Rate how many requests each sends a second (100).
	Flooders, Victims int
	Rate              float64
	// For is how long it goes on (10 s).
	For time.Duration
}

// any reports whether there is any adversary.
func (a *Adversaries) any() bool {
	return a.Eclipse.Sybils > 0 || a.Misdirect.Share > 0 || a.Poison.Sybils > 0 || a.Flood.Flooders > 0
}

// fill fills in the defaults and checks the result.
func (a *Adversaries) fill() error {
	orDefault(&a.Eclipse.Keys, 1)
	orDefault(&a.Eclipse.Subnets, 40)
	orDefault(&a.Eclipse.Reach, 100)
	orDefault(&a.Eclipse.Share, 0.5)
	orDefault(&a.Misdirect.Peers, 20)
	orDefault(&a.Misdirect.Addrs, 1)
	orDefault(&a.Poison.Victims, 1)
	orDefault(&a.Poison.Subnets, 40)
	orDefault(&a.Poison.Every, 30*time.Second)
	orDefault(&a.Poison.For, 2*time.Minute)
	orDefault(&a.Flood.Victims, 1)
	orDefault(&a.Flood.Rate, 100)
	orDefault(&a.Flood.For, 10*time.Second)
	return a.check()
}

// mostSybils bounds the adversaries of each kind, so that there are identities
// enough for all.
const mostSybils = 1 << 14

// check refuses what has no meaning.
func (a *Adversaries) check() error {
	e, m, p, f := &a.Eclipse, &a.Misdirect, &a.Poison, &a.Flood
	for _, share := range []float64{e.Share, m.Share, m.Live} {
		if !(share >= 0 && share <= 1) || m.Share == 1 {
			return errors.New("sim: a share of Adversaries must lie between 0 and 1, and that of misdirectors below 1")
		}
	}
	for _, n := range []int{e.Sybils, e.Keys, e.Subnets, e.Reach, m.Peers, m.Addrs, p.Sybils, p.Victims, p.Subnets, f.Flooders, f.Victims} {
		if n < 0 || n > mostSybils {
			return errors.New("sim: no number of Adversaries may be negative or above 16384")
		}
	}
	if e.Sybils*e.Keys > mostSybils || p.Sybils*p.Victims > mostSybils {
		return errors.New("sim: there may be at most 16384 Sybils of a kind")
	}
	if !(f.Rate > 0 && f.Rate <= 1e6) || f.For < 0 || p.Every < time.Millisecond || p.For < 0 || p.Age < 0 {
		return errors.New("sim: Flood.Rate must lie above 0 and below a million, Poison.Every be a millisecond at least, no time negative")
	}
	return nil
}
