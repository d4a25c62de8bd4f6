package sim

import (
	"bytes"
	"math"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// stock is what one member holds for others: the stores of package store, over
// memory. Members that were never given anything have none.
type stock struct {
	kv        *store.Memory
	values    *store.ValueStore
	providers *store.ProviderStore
	put       map[int32]int64 // by record, when it was last put here in the network's time
	wakeAt    int64           // when the stores are to be swept, 0 if never
	idle      int             // sweeps in a row after which more was due at once
}

// cellar is everybody's stock.
type cellar struct {
	stocks map[int32]*stock
	saved  map[int32]*stock // of durable members that are down
	off    map[int32]int64  // how far clocks have jumped
}

func newCellar() cellar {
	return cellar{stocks: make(map[int32]*stock), saved: make(map[int32]*stock), off: make(map[int32]int64)}
}

const (
	// stockSize bounds the records of one member's stores; they are cut into as few
	// parts as can be, because most members hold little.
	stockSize = 1 << 14
	// mostIdle is how often a store may be due again at once after it was swept: it
	// has nothing like as much to do.
	mostIdle = 100
)

// clock returns what a member's stores are told the time is.
func (k *keeping) clock(who int32) time.Time {
	return k.run.time(who).Add(time.Duration(k.off[who]))
}

// openStock makes a member's stores, over kv.
func (k *keeping) openStock(who int32, kv *store.Memory) *stock {
	self := *k.run.keyOf(who)
	s := &stock{
		kv: kv, put: make(map[int32]int64),
		values: store.NewValues(kv, validator, store.ValuesConfig{Self: self, MaxAge: k.cfg.MaxAge, MaxRecords: stockSize}),
		providers: store.NewProviders(store.ProvidersConfig{
			Self: self, Validity: k.cfg.MaxAge, AddrTTL: k.cfg.AddrTTL, MaxRecords: stockSize, Seed: mix(k.run.cfg.Seed ^ uint64(who)),
		}),
	}
	k.stocks[who] = s
	return s
}

// drop takes away what a member holds that goes down.
func (k *keeping) drop(who int32) {
	s := k.stocks[who]
	if s == nil {
		return
	}
	delete(k.stocks, who)
	if k.cfg.Durable {
		k.saved[who] = s
	}
}

// reopen gives a durable member that comes back what it held, through the same
// Load that a program begins with.
func (k *keeping) reopen(who int32) {
	old := k.saved[who]
	if old == nil {
		return
	}
	delete(k.saved, who)
	s := k.openStock(who, old.kv)
	s.put = old.put
	if err := s.values.Load(k.clock(who)); err != nil {
		k.run.violated("member %d: %v", who, err)
	}
	k.planSweep(who, s)
}

// serveRecord has a member answer a request about records.
func (r *run) serveRecord(who int32, from protocol.Remote, req, resp *protocol.Message) error {
	k := r.records
	if k == nil && r.cfg.Measure.Stores && req.Type == protocol.AddProvider {
		return nil // nobody reads it
	}
	if k == nil {
		return protocol.ErrUnsupported
	}
	now, h := k.clock(who), &r.handlers
	s := k.stocks[who]
	storing := req.Type == protocol.PutValue || req.Type == protocol.AddProvider
	if s == nil && storing {
		s = k.openStock(who, store.NewMemory())
	}
	h.Values, h.Providers = nothing{}, nothing{}
	if s != nil {
		h.Values, h.Providers = s.values, s.providers
	}
	var err error
	switch req.Type {
	case protocol.GetValue:
		err = h.GetValue(now, from, req, resp)
	case protocol.PutValue:
		err = h.PutValue(now, from, req, resp)
	case protocol.GetProviders:
		err = h.GetProviders(now, from, req, resp)
	case protocol.AddProvider:
		err = h.AddProvider(now, from, req, resp)
	default:
		return protocol.ErrUnsupported
	}
	if i, known := k.byKey[string(req.Key)]; storing && known && err == nil {
		s.put[i] = r.now
		k.planSweep(who, s)
	}
	return err
}

// nothing is the store of a member that was never given anything.
type nothing struct{}

func (nothing) Put(time.Time, protocol.Record) error       { panic("BUG: a put into no store") }
func (nothing) Add(time.Time, []byte, protocol.Peer) error { panic("BUG: a provider for no store") }

func (nothing) Get(time.Time, []byte) (r protocol.Record, found bool, err error) {
	return r, false, nil
}

func (nothing) Append(_ time.Time, _ []byte, dst []protocol.Peer, _ int) ([]protocol.Peer, error) {
	return dst, nil
}

// holds reports whether a member would answer with the record now.
func (k *keeping) holds(who, i int32) bool {
	s, rec := k.stocks[who], &k.records[i]
	if s == nil {
		return false
	}
	now := k.clock(who)
	if rec.value != nil {
		held, found, err := s.values.Get(now, rec.key)
		return err == nil && found && bytes.Equal(held.Value, rec.value)
	}
	owner := k.run.members[rec.owner].contact.ID
	some, err := s.providers.Append(now, rec.key, nil, math.MaxInt16)
	return err == nil && slices.ContainsFunc(some, func(p protocol.Peer) bool { return string(p.ID) == string(owner) })
}

// planSweep plans when a member's stores are to forget what has become too old.
func (k *keeping) planSweep(who int32, s *stock) {
	next := s.values.NextDeadline()
	if at := s.providers.NextDeadline(); next.IsZero() || !at.IsZero() && at.Before(next) {
		next = at
	}
	if next.IsZero() {
		return
	}
	at := max(k.run.now+int64(next.Sub(k.clock(who))), k.run.now+1)
	if s.wakeAt == 0 || at < s.wakeAt {
		s.wakeAt = at
		k.run.queue.push(at, forget, who, 0)
	}
}

// sweep lets a member's stores forget what has become too old.
func (k *keeping) sweep(who int32) {
	s := k.stocks[who]
	if s == nil || s.wakeAt != k.run.now {
		return
	}
	s.wakeAt = 0
	now := k.clock(who)
	s.values.Advance(now)
	s.providers.Advance(now)
	k.aged(who)
	k.planSweep(who, s)
	if s.idle++; s.wakeAt > k.run.now+int64(time.Second) {
		s.idle = 0
	}
	if s.idle == mostIdle {
		k.run.violated("the stores of member %d are due again at once after being swept %d times", who, mostIdle)
	}
}
