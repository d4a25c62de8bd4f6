package sim

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// deed is one operation on a record under way. It ends once, or with its member.
type deed struct {
	keeping *keeping
	who     int32
	life    uint32
	record  int32
	began   int64
	query   kademlia.QueryID
	kind    deedKind
	tended  bool // its owner was there to put it again
	own     bool // the reader held the record itself
	told    bool // somebody has answered a read with the record
	ends    int
}

// deedKind is what a deed is.
type deedKind uint8

const (
	firstPut deedKind = iota
	laterPut
	read
	finalRead
)

// begin notes that a member sets about something.
func (k *keeping) begin(who, i int32, kind deedKind) *deed {
	d := &deed{keeping: k, who: who, life: k.run.members[who].life, record: i, began: k.run.now, kind: kind}
	k.open[d] = true
	return d
}

// end notes that d is over, and reports whether it may be.
func (d *deed) end() bool {
	r := d.keeping.run
	if d.ends++; d.ends > 1 {
		r.violated("an operation of member %d on record %d ended %d times", d.who, d.record, d.ends)
		return false
	}
	delete(d.keeping.open, d)
	return true
}

// draw returns a member that serves, at random.
func (k *keeping) draw() (int32, bool) {
	all := k.run.living.members
	if len(all) == 0 {
		return 0, false
	}
	return all[k.rng.IntN(len(all))], true
}

// putFirst gives record i an owner, who puts it.
func (k *keeping) putFirst(i int32) {
	owner, ok := k.draw()
	if !ok {
		return
	}
	k.records[i].owner = owner
	k.owned[owner] = append(k.owned[owner], i)
	k.publish(i, firstPut)
}

// again plans that record i is put again by its owner if that lives as it lives now.
func (k *keeping) again(i int32, in time.Duration) {
	owner := k.records[i].owner
	k.run.queue.push(k.run.now+int64(in), putAgain, owner, i)
	k.due[i] = pending{at: k.run.now + int64(in), life: k.run.members[owner].life}
}

// pending is when a record is to be put again, and in which life of its owner.
type pending struct {
	at   int64
	life uint32
}

func (k *keeping) putAgain(owner, i int32) {
	m := &k.run.members[owner]
	if p := k.due[i]; m.up && p.at == k.run.now && p.life == m.life {
		k.publish(i, laterPut)
	}
}

// publish has the owner of record i put it, or announce itself.
func (k *keeping) publish(i int32, kind deedKind) {
	rec := &k.records[i]
	m := &k.run.members[rec.owner]
	d := k.begin(rec.owner, i, kind)
	k.run.act(rec.owner, func(now time.Time) {
		if rec.value != nil {
			m.node.Store(now, rec.recordOf(), d.published)
			return
		}
		m.node.SetAddrs(m.contact.Peer.Addrs)
		m.node.Provide(now, rec.key, d.published)
	})
}

// published is called at the end of a put. Values are put again by the run, as an
// application would; providers are announced again by the node itself.
func (d *deed) published(now time.Time, res kademlia.Result) {
	k := d.keeping
	if !d.end() {
		return
	}
	rec := &k.records[d.record]
	k.acknowledged(d, &res)
	if res.Err == nil {
		if rec.life == 0 {
			k.acked = append(k.acked, d.record)
		}
		rec.life = d.life
	}
	k.count(d, &res, res.Err == nil)
	switch {
	case res.Err != nil:
		k.again(d.record, 5*time.Minute) // as Timing.Retry
	case rec.value != nil:
		k.again(d.record, k.cfg.Every)
	default:
		keeper := k.keeperOf(d.who)
		_, err := keeper.store.Add(rec.key)
		keeper.check(err)
		keeper.check(keeper.store.Announced(now, rec.key))
	}
}

// keeperOf returns the keys that a member that is up keeps announced.
func (k *keeping) keeperOf(who int32) *keeper {
	own := k.keepers[who]
	if own == nil || own.life != k.run.members[who].life {
		own = k.run.keepKeys(who)
		k.keepers[who] = own
	}
	return own
}

// readNext reads a record at random while the run goes on, and at its end every
// one, and plans what comes next.
func (k *keeping) readNext() {
	r := k.run
	if r.now >= r.begin+int64(k.cfg.For) {
		if k.final < len(k.acked) {
			k.read(k.acked[k.final], finalRead)
			k.final++
			r.queue.push(r.begin+int64(k.cfg.For)+k.turn(k.final), readNext, 0, 0)
		}
		return
	}
	if n := len(k.acked); n > 0 && k.cfg.Reads > 0 {
		k.read(k.acked[k.rng.IntN(n)], read)
	}
	k.reads++
	next := r.begin + int64(k.cfg.For)
	if k.cfg.Reads > 0 {
		next = min(next, r.begin+int64(float64(k.reads)/k.cfg.Reads*float64(time.Second)))
	}
	r.queue.push(max(next, r.now+1), readNext, 0, 0)
}

// read has a member other than its owner read record i.
func (k *keeping) read(i int32, kind deedKind) {
	rec := &k.records[i]
	who, ok := k.draw()
	for tries := 0; ok && who == rec.owner && tries < 8; tries++ {
		who, ok = k.draw()
	}
	if !ok || who == rec.owner {
		return
	}
	d := k.begin(who, i, kind)
	d.tended = k.tended(rec)
	d.own = k.holds(who, i)
	k.run.act(who, func(now time.Time) {
		node := k.run.members[who].node
		if rec.value == nil {
			d.query = node.FindProviders(now, rec.key, k.run.cfg.Node.K, nil, d.wasRead)
			return
		}
		var o kademlia.ValueOptions
		if d.own {
			o.Local = rec.value
		}
		d.query = node.FindValue(now, rec.key, o, d.wasRead)
	})
}

// tended reports whether a record's owner has been there since the record was last
// acknowledged, and so puts it again in time.
func (k *keeping) tended(rec *record) bool {
	m := &k.run.members[rec.owner]
	return m.up && m.fate == Fine && m.life == rec.life
}

// answered notes that a read has been answered with something.
func (k *keeping) answered(q kademlia.QueryID) {
	if k == nil || !k.carries {
		return
	}
	for d := range k.open {
		if d.kind >= read && d.who == k.run.acting && d.query == q {
			d.told = true
		}
	}
}

// arriving notes whether the answer about to be handed over carries a record.
func (k *keeping) arriving(m *protocol.Message) {
	if k != nil {
		k.carries = m != nil && (m.HasRecord && m.Type == protocol.GetValue || len(m.ProviderPeers) > 0)
	}
}

// wasRead is called at the end of a read.
func (d *deed) wasRead(_ time.Time, res kademlia.Result) {
	k := d.keeping
	if !d.end() {
		return
	}
	found := k.judge(d, &res)
	k.run.hash(uint64(d.record), uint64(d.who), uint64(one(found)))
	k.count(d, &res, found)
}

// is reports whether the contact is the member's.
func (r *run) is(id peer.ID, who int32) bool { return r.members[who].contact.ID == id }
