package providerlog

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

const (
	// DefaultSyncInterval is how long an announcement waits for the disk at most
	// before the log is synced (reliability.md P14 asks for a second at most).
	DefaultSyncInterval = 100 * time.Millisecond
	// DefaultMaxPending bounds what waits in memory to be written, in bytes.
	DefaultMaxPending = 16 << 20
	// closeLimit is how long Close waits for the disk (reliability.md P16).
	closeLimit = 1500 * time.Millisecond
)

// Config says how a Store is kept. The zero value is ready to use.
type Config struct {
	// Providers bounds the records, as for one in memory.
	Providers store.ProvidersConfig
	// SyncInterval is how long after an announcement the disk is told to keep it.
	SyncInterval time.Duration
	// MaxPending bounds the bytes that wait in memory while the disk takes none.
	MaxPending int
	// Uptime tells since which boot the machine is up and for how long, so that a
	// wall clock that was set between two runs does not matter; nil if that is not
	// known. Programs give SystemUptime.
	Uptime func() (boot string, up time.Duration)

	disk disk // nil is the real one
}

// Store is a store.Providers whose records survive the program. It is safe for
// concurrent use.
//
// Invariant: what the log says, read from its beginning, gives the records in
// memory, but for the last moments (see the package comment) and for what was
// given up for want of room.
type Store struct {
	index *store.ProviderStore
	cfg   Config
	dir   string
	disk  disk
	lock  io.Closer

	times times
	// order keeps a removal behind the announcement that it is about: announcements
	// share it, a removal has it alone.
	order sync.RWMutex

	tail   tail
	work   work
	closed atomic.Bool

	health  health
	loading loading
}

// times is what a Store knows of time, in seconds.
type times struct {
	validity uint32 // of a record
	quantum  uint32 // within which a repeated announcement is not logged again
	logged   uint32 // the latest tick in the log of earlier runs

	awake  atomic.Bool   // the index was told the time
	waking sync.Mutex    // held while it becomes awake
	marked atomic.Uint32 // when the log was told the time
}

// work is what the goroutines of a Store wait for.
type work struct {
	dirty chan struct{}   // something was written since the last sync
	flush chan chan error // someone waits until all is written
	stop  chan struct{}
	ended sync.WaitGroup
	// syncing has room for whoever syncs files now.
	syncing chan struct{}
}

var _ store.Providers = (*Store)(nil)

// Open opens the log kept in dir, an empty one if there is none, and reads it: what
// takes longer than a second goes on while the store is used, see Ready. The error names
// what is wrong with dir and what to do.
func Open(dir string, cfg Config) (*Store, error) {
	s := newStore(dir, cfg)
	if err := s.disk.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("providerlog: making the directory: %w: choose one that can be written", err)
	}
	held, err := s.disk.Lock(filepath.Join(dir, lockName))
	switch {
	case errors.Is(err, errLocked):
		return nil, fmt.Errorf("providerlog: opening %s: %w: stop it, or choose another directory", dir, err)
	case err != nil:
		return nil, fmt.Errorf("providerlog: locking %s: %w: make the directory writable, or choose another", dir, err)
	}
	s.lock = held
	if err := s.survey(); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	segments := slices.Clone(s.tail.sealed)
	s.work.ended.Go(s.write)
	s.work.ended.Go(s.keep)
	s.work.ended.Go(func() { s.load(segments) })
	late := time.NewTimer(headStart)
	defer late.Stop()
	select {
	case <-s.loading.done:
	case <-late.C:
	}
	return s, nil
}

const lockName = "LOCK"

func newStore(dir string, cfg Config) *Store {
	if cfg.SyncInterval <= 0 {
		cfg.SyncInterval = DefaultSyncInterval
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = DefaultMaxPending
	}
	if cfg.Providers.Validity <= 0 {
		cfg.Providers.Validity = store.DefaultValidity
	}
	if cfg.disk == nil {
		cfg.disk = osDisk{}
	}
	validity := uint32(min(cfg.Providers.Validity/time.Second, 1<<30))
	s := &Store{
		index: store.NewProviders(cfg.Providers), cfg: cfg, dir: dir, disk: cfg.disk,
		work: work{dirty: make(chan struct{}, 1), flush: make(chan chan error), stop: make(chan struct{}), syncing: make(chan struct{}, 1)},
	}
	s.times.validity, s.times.quantum = validity, validity/256+1
	s.tail.limits = limits{segment: maxSegment, pending: cfg.MaxPending, roomy: roomy, span: max(validity/spans, 1)}
	s.tail.kick = make(chan struct{}, 1)
	s.tail.reading = true
	s.loading.done = make(chan struct{})
	return s
}

// Add implements store.Providers. It never waits for the disk. While the disk
// takes nothing, records are kept in memory as ever; Stats tells how many are not
// in the log.
func (s *Store) Add(now time.Time, key []byte, p protocol.Peer) error {
	s.order.RLock()
	if s.closed.Load() {
		s.order.RUnlock()
		return store.ErrClosed
	}
	s.wake(now)
	a, err := s.index.Announce(now, key, p)
	if err == nil && (a.Moved || s.later(a.Before, a.At) || s.later(a.SeenBefore, a.Seen)) {
		s.tail.add(&a, key, len(p.Addrs) > 0)
	}
	s.order.RUnlock()
	if err == nil {
		s.mark(now, a.At)
	}
	return err
}

// later reports whether t is so much later than before that the log has to say so.
func (s *Store) later(before, t uint32) bool { return before/s.times.quantum != t/s.times.quantum }

// Append implements store.Providers. It reads memory only.
func (s *Store) Append(now time.Time, key []byte, dst []protocol.Peer, max int) ([]protocol.Peer, error) {
	if s.closed.Load() {
		return dst, store.ErrClosed
	}
	s.wake(now)
	s.mark(now, s.index.Tick(now))
	return s.index.Append(now, key, dst, max)
}

// Remove implements store.Providers.
func (s *Store) Remove(key, id []byte) {
	s.order.Lock()
	defer s.order.Unlock()
	if s.closed.Load() {
		return
	}
	r, found := s.index.Find(key, id)
	ready := s.ready()
	if !found && ready {
		return
	}
	at := max(r.Added, s.index.Latest(), s.times.logged)
	s.index.Remove(key, id)
	s.tail.remove(at, key, id)
	if !ready {
		if s.loading.removed == nil {
			s.loading.removed = make(map[served]uint32)
		}
		s.loading.removed[served{string(key), string(id)}] = at
	}
}

// NextDeadline implements store.Providers. Before the first call that tells the
// time it is in the past if there are records.
func (s *Store) NextDeadline() time.Time {
	switch {
	case s.times.awake.Load():
		return s.index.NextDeadline()
	case s.index.Len() > 0 || !s.ready():
		return time.Unix(0, max(s.tail.lastMark().wall, 1))
	}
	return time.Time{}
}

// Advance implements store.Providers. It deletes segments in which all is too old.
func (s *Store) Advance(now time.Time) {
	if s.closed.Load() {
		return
	}
	s.wake(now)
	s.index.Advance(now)
	t := s.index.Tick(now)
	s.mark(now, t)
	s.dropOld(t)
}

// SetRadius tells the distance from this peer beyond which it is not expected to
// hold records. Zero means that it is not known.
func (s *Store) SetRadius(d keyspace.Distance) { s.index.SetRadius(d) }

// Len implements store.Providers.
func (s *Store) Len() int { return s.index.Len() }

// Keys returns the number of keys that have a provider.
func (s *Store) Keys() int { return s.index.Keys() }

// wake tells the index what time it is if nobody has, counting the time since the
// last run.
func (s *Store) wake(now time.Time) {
	if s.times.awake.Load() {
		return
	}
	s.times.waking.Lock()
	defer s.times.waking.Unlock()
	if s.times.awake.Load() {
		return
	}
	t := s.times.logged // whatever the clocks say
	if last := s.tail.lastMark(); last.tick > 0 {
		boot, up := s.uptime()
		t = max(t, last.tick+last.elapsed(now, boot, up, s.times.validity/2))
	}
	if t > 0 {
		s.index.Resume(now, t)
	}
	s.setMark(now, s.index.Tick(now))
	s.times.awake.Store(true)
}

// mark notes in the log that now is t, if that is news.
func (s *Store) mark(now time.Time, t uint32) {
	if last := s.times.marked.Load(); t >= last+markPeriod && s.times.marked.CompareAndSwap(last, t) {
		s.setMark(now, t)
	}
}

// setMark notes in the log that now is t.
func (s *Store) setMark(now time.Time, t uint32) {
	boot, up := s.uptime()
	s.times.marked.Store(t)
	s.tail.setMark(mark{tick: t, wall: now.UnixNano(), up: int64(up), boot: boot})
}

func (s *Store) uptime() (boot string, up time.Duration) {
	if s.cfg.Uptime == nil {
		return "", 0
	}
	if boot, up = s.cfg.Uptime(); len(boot) > maxBoot {
		return "", 0
	}
	return boot, up
}
