package sim

import (
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// Stored is what became of announcements (Measure.Stores); the times are from the call on.
type Stored struct {
	Ended int
	// HalfP50 and so on are when half of the k nearest held the record, which is when
	// a caller goes on; WholeP50 and so on when nothing was under way any more.
	HalfP50, HalfP95, WholeP50, WholeP95 time.Duration
	// Right is the share of the k nearest live members that hold the record in the end,
	// Holders how many hold it, Requests what was sent for it, Worst the least Holders.
	Right, Holders, Requests float64
	Worst                    int
	// Twice counts the records that somebody was sent twice.
	Twice int
}

// storage is what a run knows of its announcements.
type storage struct {
	open  int // under way
	sent  map[handing]int
	twice int
	done  [2][]announced // nodes', baselines'
}

// handing is one record sent to one member by another.
type handing struct {
	from, to int32
	key      string
}

// announced is how an announcement ended.
type announced struct {
	half, whole   int64
	right, wanted int
	holders       int
	asked         int
}

// hands counts a record on its way.
func (r *run) hands(to int32, req *protocol.Message) {
	if !r.cfg.Measure.Stores || req.Type != protocol.AddProvider {
		return
	}
	h := handing{r.acting, to, string(req.Key)}
	if r.checks.storage.sent == nil {
		r.checks.storage.sent = make(map[handing]int)
	}
	if r.checks.storage.sent[h]++; r.checks.storage.sent[h] == 2 {
		r.checks.storage.twice++
		r.violated("member %d gives member %d the same record twice", h.from, to)
	}
}

// announces has a member announce itself, and the lookup watched end when half of the
// nearest know.
func (r *run) announces(w *watched, key []byte) {
	node := r.members[w.id.who].node
	node.SetAddrs(r.members[w.id.who].contact.Peer.Addrs)
	a := announced{half: -1}
	r.checks.storage.open++
	id := node.Provide(r.time(w.id.who), key, func(now time.Time, res kademlia.Result) {
		a.whole, a.asked = r.now-w.since, res.Report.Asked
		if a.half < 0 {
			a.half = a.whole
			w.done(now, res)
		}
		r.announced(w, &a, &res)
	})
	node.WhenHalf(id, func(now time.Time, res kademlia.Result) {
		a.half = r.now - w.since
		w.done(now, res)
	})
}

// announced judges an announcement of one of either kind.
func (r *run) announced(w *watched, a *announced, res *kademlia.Result) {
	truth := r.living.appendClosest(nil, &w.target, r.cfg.Node.K, func(i int32) bool { return i != w.id.who && !r.apart(i, w.id.who) })
	a.wanted = len(truth)
	for _, id := range res.Report.Holders {
		who := r.index(id)
		if who < 0 {
			r.violated("an announcement names a holder that is nobody of this run")
			continue
		}
		if m := &r.members[who]; m.up && m.fate == Fine {
			a.holders++
		}
		a.right += int(one(slices.Contains(truth, who)))
	}
	r.checks.storage.open--
	kind := int(one(w.base))
	r.checks.storage.done[kind] = append(r.checks.storage.done[kind], *a)
}

// stored sums announcements up; nil if there were none.
func (s *storage) stored(kind int) *Stored {
	all := s.done[kind]
	if len(all) == 0 {
		return nil
	}
	sum := &Stored{Ended: len(all), Worst: all[0].holders, Twice: s.twice}
	half, whole := make([]int64, len(all)), make([]int64, len(all))
	right, wanted := 0, 0
	for i := range all {
		a := &all[i]
		half[i], whole[i] = a.half, a.whole
		right, wanted = right+a.right, wanted+a.wanted
		sum.Holders += float64(a.holders) / float64(len(all))
		sum.Requests += float64(a.asked) / float64(len(all))
		sum.Worst = min(sum.Worst, a.holders)
	}
	slices.Sort(half)
	slices.Sort(whole)
	at := func(times []int64, percent int) time.Duration {
		return time.Duration(times[(len(times)-1)*percent/100])
	}
	sum.HalfP50, sum.HalfP95, sum.WholeP50, sum.WholeP95 = at(half, 50), at(half, 95), at(whole, 50), at(whole, 95)
	sum.Right = float64(right) / float64(max(1, wanted))
	return sum
}

// announcement is the second half of a baseline's: it tells those that its lookup has found.
type announcement struct {
	of      *baseline
	left    int
	whole   announced
	holders kademlia.Result
}

// announce sends the record to all at once.
func (b *baseline) announce(found []*kademlia.Contact) {
	r, who := b.run, b.watched.id.who
	r.checks.storage.open++
	a := &announcement{of: b, left: len(found), whole: announced{half: r.now - b.watched.since, asked: b.report.Asked + len(found)}}
	req := &protocol.Message{Type: protocol.AddProvider, Key: b.request.Key, ProviderPeers: []protocol.Peer{r.members[who].contact.Peer}, ClusterLevel: 1}
	for _, c := range found {
		r.inquiries.last++
		id := kademlia.RequestID(baselineRequest | r.inquiries.last)
		r.inquiries.open[id] = inquiry{from: b, who: r.index(c.ID), announcing: a}
		r.acting = who
		r.Send(id, c, req)
	}
	if a.left == 0 {
		a.end()
	}
}

// heardBack takes in what became of one of the records.
func (a *announcement) heardBack(who int32, err error) {
	if err == nil {
		a.holders.Report.Holders = append(a.holders.Report.Holders, a.of.run.members[who].contact.ID)
	}
	if a.left--; a.left == 0 {
		a.end()
	}
}

func (a *announcement) end() {
	r := a.of.run
	a.whole.whole = r.now - a.of.watched.since
	r.announced(a.of.watched, &a.whole, &a.holders)
}

func (e *text) stored(name string, s *Stored) {
	if s == nil {
		return
	}
	ms := time.Millisecond
	e.printf("%s  %d announcements: half of the copies p50 %v, p95 %v; all over p50 %v, p95 %v; %.1f requests, %.4f of the right holders, %.1f holders (at least %d), %d twice\n",
		name, s.Ended, s.HalfP50.Round(ms), s.HalfP95.Round(ms), s.WholeP50.Round(ms), s.WholeP95.Round(ms), s.Requests, s.Right, s.Holders, s.Worst, s.Twice)
}
