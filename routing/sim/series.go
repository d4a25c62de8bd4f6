package sim

import (
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

const (
	// shortestSlice is how long slices of a short run are.
	shortestSlice = time.Second
	// mostSlices bounds the slices of a report, mostJudged the members whose tables
	// are judged for each.
	mostSlices = 120
	mostJudged = 200
)

// Slice is what happened in a part of a run, and how the network was at its end.
type Slice struct {
	// At is its end, in virtual time; it begins where the one before it ends.
	At time.Duration
	// Up counts the members that are up, Table judges the tables of up to 200.
	Up       int
	Table    Table
	Requests Rates
	// Ended counts the lookups that ended in it, with those before Measure.From and
	// without a baseline's; the others tell of these as in Lookups.
	Ended         int
	Success, Near float64
	P50, P95      time.Duration
}

// Rates are requests a second of all nodes together, by what they are for: the
// run's own lookups, probes, records put and read, and all else, which is joining,
// refreshing and the walks before a record is put.
type Rates struct {
	Lookups, Probes, Records, Upkeep float64
}

// purposes counts requests by what they are for.
type purposes [4]uint64

const (
	forLookup = iota
	forProbe
	forRecord
	forUpkeep
)

// countPurpose notes what a request that is about to leave is for.
func (r *run) countPurpose(to *kademlia.Contact, req *protocol.Message) {
	purpose := forUpkeep
	switch {
	case req.Type == protocol.PutValue || req.Type == protocol.GetValue || req.Type == protocol.AddProvider || req.Type == protocol.GetProviders:
		purpose = forRecord
	case string(req.Key) == string(to.ID):
		purpose = forProbe
	case r.checks.asking != nil:
		purpose = forLookup
	}
	r.series.sent[purpose]++
}

// series is the run as it was at a bounded number of moments.
//
// Invariant: the moments lie at multiples of every, in order, fewer than
// mostSlices of them. To look draws no random number, plans no event and calls no
// node, so that a run goes the same way watched or not.
type series struct {
	sent    purposes // so far
	every   int64
	next    int64 // the first moment that is not noted yet
	moments []moment
}

// moment is the network at one time.
type moment struct {
	at    int64
	up    int
	table Table
	sent  purposes
}

// notes looks at the network if a moment to do so has come before the event that
// is about to happen at a time.
func (s *series) notes(r *run, at int64) {
	if at < s.next {
		return
	}
	if s.every == 0 {
		// What is planned takes half of the slices and more.
		s.every = int64((time.Duration(r.last)/mostSlices + shortestSlice).Truncate(shortestSlice))
	} else {
		s.moments = append(s.moments, s.look(r, at-at%s.every))
	}
	for len(s.moments) >= mostSlices-1 {
		s.thin()
	}
	s.next = at - at%s.every + s.every
}

// thin makes slices twice as long.
func (s *series) thin() {
	s.every *= 2
	kept := s.moments[:0]
	for _, m := range s.moments {
		if m.at%s.every == 0 {
			kept = append(kept, m)
		}
	}
	s.moments = kept
}

func (s *series) look(r *run, at int64) moment {
	return moment{at: at, up: r.upNow(), table: r.tables(mostJudged), sent: s.sent}
}

// slices returns the series with the end of the run as its last moment.
func (s *series) slices(r *run) []Slice {
	moments := s.moments
	if n := len(moments); n == 0 || moments[n-1].at < r.now {
		moments = append(moments, s.look(r, r.now))
	}
	outcomes := slices.DeleteFunc(slices.Clone(r.checks.outcomes), func(o outcome) bool { return o.base }) // in the order of their ends
	all := make([]Slice, 0, len(moments))
	var last moment
	for _, m := range moments {
		n := 0
		for n < len(outcomes) && outcomes[n].began+outcomes[n].took <= m.at {
			n++
		}
		l := sum(outcomes[:n])
		outcomes = outcomes[n:]
		all = append(all, Slice{
			At: time.Duration(m.at), Up: m.up, Table: m.table, Requests: rates(&last, &m),
			Ended: l.Ended, Success: l.Success, Near: l.Near, P50: l.P50, P95: l.P95,
		})
		last = m
	}
	return all
}

// rates returns what was sent between two moments, a second.
func rates(from, to *moment) Rates {
	seconds := time.Duration(to.at - from.at).Seconds()
	if seconds <= 0 {
		return Rates{}
	}
	of := func(purpose int) float64 { return float64(to.sent[purpose]-from.sent[purpose]) / seconds }
	return Rates{Lookups: of(forLookup), Probes: of(forProbe), Records: of(forRecord), Upkeep: of(forUpkeep)}
}
