package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// Records has members put values and announce themselves as providers, keep that
// up, and has others read it all.
type Records struct {
	// Values and Providers are how many keys get a value each, or a provider. Rate is
	// how many are put a second from the first lookup on (1), each by a member drawn
	// at random, its owner from then on.
	Values, Providers int
	Rate              float64
	// For is how long after the first lookup the run goes on (1 h); Reads is how many
	// records are read a second meanwhile, by other members (1). Then each is read
	// once more, Rate a second.
	For   time.Duration
	Reads float64
	// Every is how often owners put again (22 h), MaxAge how long others keep what was
	// not put again (48 h), AddrTTL the same for the addresses of providers (24 h).
	Every, MaxAge, AddrTTL time.Duration
	// Durable members that come back have the values they held; provider records are
	// in memory only.
	Durable bool
	// Copies says how members keep values where they are looked for: not at all (""),
	// CopiesOnChange or CopiesHourly; CopyEvery is how often, or how soon after a change
	// (1 h).
	Copies    string
	CopyEvery time.Duration
	Jumps     Jumps
}

// Jumps are clocks set wrongly while the run goes on: those of the share Share of
// all members but the anchors, once each, within For, by up to By to either side,
// at least half of that. Only stores see them; package routing tells its own the
// time by a clock that is never set.
type Jumps struct {
	Share float64
	By    time.Duration
}

func (c *Records) on() bool { return c.Values+c.Providers > 0 }

func (c *Records) fill() {
	orDefault(&c.Rate, 1)
	orDefault(&c.For, time.Hour)
	orDefault(&c.Reads, 1)
	orDefault(&c.Every, 22*time.Hour)
	orDefault(&c.CopyEvery, time.Hour)
	orDefault(&c.MaxAge, store.DefaultMaxAge)
	orDefault(&c.AddrTTL, store.DefaultAddrTTL)
}

func (c *Records) check() error {
	switch {
	case c.Values < 0 || c.Providers < 0 || c.Values > 1<<20 || c.Providers > 1<<20:
		return errors.New("sim: Values and Providers must be between 0 and a million")
	case !(c.Rate > 0) || c.Reads < 0 || c.For < 0 || c.Every <= 0 || c.MaxAge <= 0 || c.AddrTTL <= 0 || c.Jumps.By < 0:
		return errors.New("sim: Records: Rate, Every, MaxAge and AddrTTL must be above 0, Reads, For and Jumps.By not below")
	case c.Copies != "" && c.Copies != CopiesOnChange && c.Copies != CopiesHourly || c.CopyEvery <= 0:
		return fmt.Errorf("sim: Records: Copies is %q: write nothing, %q or %q, and CopyEvery above 0", c.Copies, CopiesOnChange, CopiesHourly)
	case !(c.Jumps.Share >= 0 && c.Jumps.Share <= 1):
		return errors.New("sim: Records: Jumps.Share must lie between 0 and 1")
	}
	return nil
}

// record is one key that somebody keeps a record under.
type record struct {
	key   []byte
	value []byte // nil: its owner is its provider
	place keyspace.Key
	owner int32
	life  uint32 // of its owner when it was last acknowledged, 0 if never
}

// keeping is all of a run that has to do with records; nil if there are none.
type keeping struct {
	run     *run
	cfg     *Records
	rng     *rand.Rand      // its own, so that a run's lookups are the same with it and without
	open    map[*deed]bool  // operations under way
	since   map[int32]int64 // when a member came up last
	reads   int             // begun while the run goes on
	final   int             // records read once more at the end
	trouble int64           // when anybody last went, came or was set wrong
	ledger
	cellar
	tally
	copying
}

// ledger is the records of a run and whose they are.
type ledger struct {
	records []record
	byKey   map[string]int32
	owned   map[int32][]int32 // records by owner
	acked   []int32           // those acknowledged once, in that order
	due     map[int32]pending // by record
	keepers map[int32]*keeper // by owner
}

// keep plans what is to be done with records.
func (r *run) keep() {
	c := &r.cfg.Records
	if !c.on() {
		return
	}
	k := &keeping{
		run: r, cfg: c, rng: rand.New(rand.NewPCG(r.cfg.Seed, 0x7265636f726473)),
		open: make(map[*deed]bool), since: make(map[int32]int64), cellar: newCellar(),
		ledger: ledger{byKey: make(map[string]int32), owned: make(map[int32][]int32), due: make(map[int32]pending), keepers: make(map[int32]*keeper)},
	}
	r.records = k
	for i := range c.Values + c.Providers {
		rec := record{owner: -1, key: k.name(uint64(i))}
		if i < c.Values {
			rec.value = fmt.Appendf(nil, "value %d of seed %d", i, r.cfg.Seed)
			rec.key = []byte(store.ImmKey(rec.value))
		}
		rec.place = keyspace.KeyOf(rec.key)
		k.byKey[string(rec.key)] = int32(i)
		k.records = append(k.records, rec)
		r.queue.push(r.begin+k.turn(i), putFirst, 0, int32(i))
	}
	r.queue.push(r.begin, readNext, 0, 0)
	k.planJumps()
	r.last = max(r.last, r.begin+int64(c.For)+k.turn(len(k.records)))
}

// name returns the key of a provider record: a sha2-256 multihash, as most are.
func (k *keeping) name(i uint64) []byte {
	name := append(make([]byte, 0, 34), 0x12, 0x20)
	for j := range uint64(4) {
		name = binary.BigEndian.AppendUint64(name, mix(k.run.cfg.Seed^i<<8^j))
	}
	return name
}

// turn returns how long after the first the i-th of those comes that happen Rate
// times a second.
func (k *keeping) turn(i int) int64 { return int64(float64(i) / k.cfg.Rate * float64(time.Second)) }

// recordEvent lets an event happen that has to do with records.
func (r *run) recordEvent(e *event) {
	k := r.records
	switch e.kind() {
	case putFirst:
		k.putFirst(e.what)
	case putAgain:
		k.putAgain(e.who, e.what)
	case readNext:
		k.readNext()
	case forget:
		k.sweep(e.who)
	case jump:
		k.jump(e.who)
	case handOver:
		k.hasRead(e.who, e.what)
	case copyAll:
		k.copiesAll(e.who, e.what)
	case gone:
		if m := &r.members[e.who]; m.up && m.life == uint32(e.what) {
			r.goesDown(e.who, Refuse)
		}
	}
}

// cameUp notes that a member is there, and has it take up its duties as an owner
// as soon as it knows others.
func (k *keeping) cameUp(who int32) {
	if k == nil {
		return
	}
	k.trouble, k.since[who] = k.run.now, k.run.now
	k.reopen(who)
	k.copies(who)
	for _, i := range k.owned[who] {
		k.again(i, time.Minute)
	}
}

// wentDown notes that a member is gone, with what it was doing, and, unless it is
// durable, with what it held.
func (k *keeping) wentDown(who int32) {
	if k == nil {
		return
	}
	k.trouble = k.run.now
	for d := range k.open {
		if d.who == who {
			delete(k.open, d)
			k.cutShort++
		}
	}
	k.counted(who)
	k.drop(who)
}

// over reports whether nothing is left to be done.
func (k *keeping) over() bool { return k == nil || len(k.open) == 0 && k.final >= len(k.acked) }

// validator judges values the way every member does.
var validator = store.Namespaces{"imm": store.Imm{}}

// recordOf returns the value as it travels.
func (rec *record) recordOf() protocol.Record {
	return protocol.Record{Key: rec.key, Value: rec.value}
}
