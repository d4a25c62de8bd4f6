package sim

import (
	"slices"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// Kept is what became of the records of a run.
type Kept struct {
	Values, Providers Upkeep
	// CutShort counts the operations whose member went down meanwhile; nothing else
	// tells of these.
	CutShort int
	Clocks   Clocks
	Copies   Copies
}

// Upkeep is what became of the records of one kind; figures without a unit are
// means of one operation.
type Upkeep struct {
	// Puts counts those that ended, the first and, of values, the later ones (later
	// announcements are the nodes' own); Acknowledged those that somebody confirmed,
	// Holders how many did.
	Puts, Acknowledged int
	Holders            float64
	Put, Read          Cost
	// Reads while the run went on, of records whose owner was there to put them
	// again, and of others; then the same of the last reads of every record.
	Tended, Orphaned, LastTended, LastOrphaned Reads
}

// Cost is what operations took.
type Cost struct {
	Messages float64
	// Dense is the share whose nodes took the k nearest for placed there, and went
	// through the region of the key.
	Dense    float64
	P50, P99 time.Duration // virtual
}

// Reads counts reads: those that ended, those that found the record, and of the
// others those that missed it though one of the k truly nearest held it, and those
// where none of these did any more.
type Reads struct{ Ended, Found, Missed, Gone int }

// Copies is what members did for the values of others: copies given, the requests
// that this took in all, the same for each value and hour, and how often a member
// that left in order had some to hand over.
type Copies struct {
	Given, Requests int
	Hourly          float64
	Handovers       int
}

// Clocks is what became of records when clocks jumped.
type Clocks struct {
	// Jumps counts the jumps, Held the records held by who jumped, Dropped those
	// among them that were given up there and then because the jump made them too
	// old. Outlived counts the records told more than an hour after their time.
	Jumps, Held, Dropped, Outlived int
}

// Share is the share of the reads that found their record, 1 of none.
func (r Reads) Share() float64 {
	if r.Ended == 0 {
		return 1
	}
	return float64(r.Found) / float64(r.Ended)
}

// tally counts what operations did, values first, then providers.
type tally struct {
	kinds    [2]Upkeep
	took     [2][2][]int64 // of puts, of reads
	cutShort int
	clocks   Clocks
	carries  bool // the answer being handed over carries a record
}

// of returns the place of a record's kind in tally.
func (k *keeping) of(i int32) int {
	if k.records[i].value != nil {
		return 0
	}
	return 1
}

// sum returns where a read is counted.
func (k *keeping) sum(d *deed) *Reads {
	u := &k.kinds[k.of(d.record)]
	switch {
	case d.kind == finalRead && d.tended:
		return &u.LastTended
	case d.kind == finalRead:
		return &u.LastOrphaned
	case d.tended:
		return &u.Tended
	}
	return &u.Orphaned
}

func (c *Cost) add(rep *kademlia.Report) {
	c.Messages += float64(rep.Asked)
	c.Dense += one(rep.Dense)
}

// count notes how an operation ended.
func (k *keeping) count(d *deed, res *kademlia.Result, well bool) {
	at := k.of(d.record)
	u := &k.kinds[at]
	if d.kind < read {
		u.Puts++
		u.Put.add(&res.Report)
		k.took[at][0] = append(k.took[at][0], k.run.now-d.began)
		if well {
			u.Acknowledged++
			u.Holders += float64(len(res.Report.Holders))
		}
		return
	}
	u.Read.add(&res.Report)
	k.took[at][1] = append(k.took[at][1], k.run.now-d.began)
	sum := k.sum(d)
	sum.Ended++
	if well {
		sum.Found++
	}
}

// kept sums up what became of the records; nil if there were none.
func (k *keeping) kept() *Kept {
	if k == nil {
		return nil
	}
	for i := range k.run.members {
		k.aged(int32(i))
		if k.run.members[i].node != nil {
			k.counted(int32(i))
		}
	}
	all := Kept{CutShort: k.cutShort, Clocks: k.clocks, Copies: Copies{Given: k.given, Requests: k.asked, Handovers: k.handovers}}
	all.Copies.Hourly = float64(k.asked) / float64(max(1, k.cfg.Values)) / k.cfg.For.Hours()
	for at, u := range k.kinds {
		u.Holders /= float64(max(1, u.Acknowledged))
		u.Put.spread(k.took[at][0])
		u.Read.spread(k.took[at][1])
		if at == 0 {
			all.Values = u
		} else {
			all.Providers = u
		}
	}
	return &all
}

// spread completes c, which holds all messages, with what the operations took.
func (c *Cost) spread(took []int64) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	c.Messages, c.Dense = c.Messages/float64(len(took)), c.Dense/float64(len(took))
	c.P50, c.P99 = time.Duration(took[len(took)/2]), time.Duration(took[len(took)*99/100])
}

// kept writes what became of the records, for people.
func (e *text) kept(k *Kept) {
	if k == nil {
		return
	}
	for _, u := range []struct {
		name string
		*Upkeep
	}{{"values   ", &k.Values}, {"providers", &k.Providers}} {
		if u.Puts == 0 {
			continue
		}
		e.printf("%s %d puts, %d acknowledged by %.1f each, %.4f noticed a crowd; %.1f messages, p50 %v, p99 %v\n",
			u.name, u.Puts, u.Acknowledged, u.Holders, u.Put.Dense, u.Put.Messages, u.Put.P50.Round(time.Millisecond), u.Put.P99.Round(time.Millisecond))
		e.printf("          read with %.1f messages, p50 %v, p99 %v\n", u.Read.Messages, u.Read.P50.Round(time.Millisecond), u.Read.P99.Round(time.Millisecond))
		e.reads("owner there", u.Tended)
		e.reads("owner gone", u.Orphaned)
		e.reads("last, owner there", u.LastTended)
		e.reads("last, owner gone", u.LastOrphaned)
	}
	e.printf("          %d operations cut short by their member's end\n", k.CutShort)
	if c := k.Copies; c.Given > 0 {
		e.printf("copies    %d given with %d requests, %.1f a value and hour; %d times something was handed over\n", c.Given, c.Requests, c.Hourly, c.Handovers)
	}
	if c := k.Clocks; c.Jumps > 0 {
		e.printf("clocks    %d jumps by members that held %d records, %d of which became too old; %d outlived their time\n", c.Jumps, c.Held, c.Dropped, c.Outlived)
	}
}

func (e *text) reads(what string, r Reads) {
	if r.Ended > 0 {
		e.printf("          %-17s  %.4f of %d reads; %d missed what is there, %d no longer there\n", what, r.Share(), r.Ended, r.Missed, r.Gone)
	}
}
