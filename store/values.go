package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// stripes is how many locks order the puts of values: two puts of one key never
// run at the same time, puts of different keys rarely wait for each other.
const stripes = 64

// ValueStore is the Values every peer uses: records in a KV, and an index of them
// for age and budgets: in memory, or, if the KV is a Filed, kept by it.
//
// Locks: a stripe is held while a put validates and compares, the index's lock
// only while index and KV change together; neither while waiting for a disk.
type ValueStore struct {
	kv    KV
	rules record.Validator
	cfg   ValuesConfig
	clock clock

	stripes  [stripes]sync.Mutex
	index    index
	radius   radius
	rejected rejected
	senders  senders
}

var _ Values = (*ValueStore)(nil)

// NewValues returns a store of values in kv under the given rules. It indexes
// what is put through it; Load indexes what kv holds from an earlier run.
func NewValues(kv KV, rules record.Validator, cfg ValuesConfig) *ValueStore {
	cfg = cfg.withDefaults()
	s := &ValueStore{kv: kv, rules: rules, cfg: cfg}
	l := limits{
		self: cfg.Self, maxAge: seconds(cfg.MaxAge), maxRecords: cfg.MaxRecords, maxBytes: cfg.MaxBytes, radius: &s.radius,
	}
	if filed, ok := kv.(Filed); ok {
		s.clock.begin = filed.Resume
		s.index = &filedIndex{kv: filed, limits: l}
	} else {
		s.index = newValueIndex(kv, l)
	}
	return s
}

// Load indexes what the KV holds from an earlier run and deletes what does not
// parse or is too old. A record stamped in the future counts as new. It is called
// once, before the store is used. A KV that is a Filed needs no reading.
func (s *ValueStore) Load(now time.Time) error {
	if err := s.index.load(now, s.clock.tick(now)); err != nil {
		return fmt.Errorf("store: reading the records of the last run: %w", err)
	}
	return nil
}

// Put implements Values. It is the rule of wire.md §7, for puts of this peer and
// of others alike, except that a record too old no longer blocks a worse one.
func (s *ValueStore) Put(now time.Time, rec protocol.Record) error { return s.put(now, 0, rec) }

// put is Put, and PutFrom of a sender with this id.
func (s *ValueStore) put(now time.Time, from uint64, rec protocol.Record) error {
	t := s.clock.tick(now)
	if err := s.check(t, &rec); err != nil {
		return err
	}
	key := keyspace.KeyOf(rec.Key)
	if err := s.putLocked(now, t, from, key, &rec); err != nil {
		return err
	}
	return s.kv.Sync()
}

// Get implements Values.
func (s *ValueStore) Get(now time.Time, key []byte) (protocol.Record, bool, error) {
	if len(key) > s.cfg.MaxKey {
		return protocol.Record{}, false, nil
	}
	k := keyspace.KeyOf(key)
	rec, since, found, err := s.read(s.clock.tick(now), k, key)
	if err != nil || !found {
		return protocol.Record{}, false, err
	}
	return own(&rec, since.received), true, nil
}

// NextDeadline implements Values.
func (s *ValueStore) NextDeadline() time.Time {
	next := s.index.next()
	if next == 0 {
		return time.Time{}
	}
	return s.clock.time(next)
}

// Advance implements Values.
func (s *ValueStore) Advance(now time.Time) { s.index.expire(now, s.clock.tick(now)) }

// SetRadius tells the distance from this peer beyond which it is not expected to
// hold records (the k-th neighbour's, times eight). While the store is over half
// of a budget, new keys beyond it are refused. Zero means that it is not known.
func (s *ValueStore) SetRadius(d keyspace.Distance) { s.radius.set(&d) }

// Len implements Values.
func (s *ValueStore) Len() int { n, _ := s.index.held(); return n }

// Bytes implements Values: the stored form and the index entry of every record.
func (s *ValueStore) Bytes() int64 { _, n := s.index.held(); return n }

// Close implements Values.
func (s *ValueStore) Close() error {
	t := s.clock.latest.Load()
	var now time.Time
	if t != 0 {
		now = s.clock.time(t)
	}
	s.index.close(now, t)
	return s.kv.Close()
}

// stripe returns the lock that orders the changes of key's value.
func (s *ValueStore) stripe(key *keyspace.Key) *sync.Mutex {
	return &s.stripes[key[len(key)-1]%stripes]
}

// putLocked compares rec, which is valid, with what is stored and stores it.
func (s *ValueStore) putLocked(now time.Time, t tick, from uint64, key keyspace.Key, rec *protocol.Record) error {
	stripe := s.stripe(&key)
	stripe.Lock()
	defer stripe.Unlock()
	stored, held, found, err := s.read(t, key, rec.Key)
	if err != nil {
		return err
	}
	at := since(t, seconds(s.cfg.MaxAge), rec)
	switch {
	case found && bytes.Equal(stored.Value, rec.Value):
		if at < held.at {
			return nil // a copy does not shorten what its owner's put has given
		}
	case found:
		if err := s.compare(rec, &stored); err != nil {
			return err
		}
	}
	room := make([]byte, 0, len(rec.Key)+len(rec.Value)+len(rec.Unknown)+storedOverhead)
	grown := int64(cap(room))
	if found {
		grown -= int64(len(stored.Key) + len(stored.Value) + len(stored.Unknown) + storedOverhead)
	}
	if err := s.takeShare(t, from, grown, !found, rec.Key); err != nil {
		return err
	}
	return s.index.put(now, t, at, key, appendStored(room, now, rec), rec.Key)
}

// check refuses what breaks a limit or its namespace's rules.
func (s *ValueStore) check(t tick, rec *protocol.Record) error {
	switch {
	case len(rec.Key) == 0:
		return fmt.Errorf("%w: the key is empty: write it as /namespace/name", ErrInvalid)
	case len(rec.Key) > s.cfg.MaxKey:
		return fmt.Errorf("%w: a key of %d bytes exceeds the limit of %d: shorten it, or name the record by a hash",
			ErrTooLarge, len(rec.Key), s.cfg.MaxKey)
	case len(rec.Value) > s.cfg.MaxValue:
		return fmt.Errorf("%w: a value of %d bytes for %s exceeds the limit of %d: store a reference to the bytes instead",
			ErrTooLarge, len(rec.Value), show(rec.Key), s.cfg.MaxValue)
	case len(rec.Unknown) > maxUnknown:
		return fmt.Errorf("%w: %d bytes of unknown fields for %s exceed the limit of %d: put the record without them",
			ErrTooLarge, len(rec.Unknown), show(rec.Key), maxUnknown)
	}
	if s.rejected.has(t, rec) {
		return errRejected(rec)
	}
	err := judge(s.rules.Validate(string(rec.Key), rec.Value), rec.Key)
	if errors.Is(err, ErrInvalid) {
		s.rejected.add(t, rec)
		return &costlyError{err, invalidUnits}
	}
	return err
}

// compare refuses rec if the stored value is still valid and not worse.
func (s *ValueStore) compare(rec, stored *protocol.Record) error {
	key := string(rec.Key)
	if s.rules.Validate(key, stored.Value) != nil {
		return nil
	}
	best, err := s.rules.Select(key, [][]byte{rec.Value, stored.Value})
	if err != nil {
		return judge(err, rec.Key)
	}
	if best != 0 {
		return fmt.Errorf("%w for %s: get it and publish a newer one", ErrOld, show(rec.Key))
	}
	return nil
}

// judge turns a validator's error about key into one of this package.
func judge(err error, key []byte) error {
	switch {
	case err == nil, errors.Is(err, ErrNamespace), errors.Is(err, ErrInvalid):
		return err
	case errors.Is(err, record.ErrInvalidRecordType):
		return fmt.Errorf("%w of key %s: register one, or use a key of a known namespace", ErrNamespace, show(key))
	}
	return fmt.Errorf("%w for key %s: %w", ErrInvalid, show(key), err)
}

// read returns the record filed under key if it is not too old. The record
// borrows from the KV. One that does not parse, or that is another key's, is
// dropped.
func (s *ValueStore) read(t tick, key keyspace.Key, name []byte) (rec protocol.Record, since holding, found bool, err error) {
	b, at, found, err := s.index.get(t, key)
	if err != nil {
		return rec, since, false, fmt.Errorf("store: reading %s: %w", show(name), err)
	}
	if !found {
		return rec, since, false, nil
	}
	rec, since.received, err = parseStored(b)
	since.at = at
	if err != nil || !bytes.Equal(rec.Key, name) {
		s.index.dropBroken(key, b)
		return protocol.Record{}, since, false, nil
	}
	return rec, since, true, nil
}

// own returns a copy of rec with its stamp.
func own(rec *protocol.Record, received time.Time) protocol.Record {
	b := make([]byte, 0, len(rec.Key)+len(rec.Value)+len(rec.Unknown)+len(time.RFC3339Nano))
	cut := func(field []byte) []byte {
		if field == nil {
			return nil
		}
		n := len(b)
		b = append(b, field...)
		return b[n:len(b):len(b)]
	}
	c := protocol.Record{Key: cut(rec.Key), Value: cut(rec.Value), Unknown: cut(rec.Unknown)}
	n := len(b)
	b = received.AppendFormat(b, time.RFC3339Nano)
	c.TimeReceived = b[n:len(b):len(b)]
	return c
}
