package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"time"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/store"
)

const (
	// DefaultCache is how much of the database is held in memory.
	DefaultCache = 32 << 20
	// DefaultOpenFiles bounds the files of the database that are open at a time.
	DefaultOpenFiles = 128

	// memtable is how much is held in memory before it becomes a file. So many may wait
	// for that; what they hold is also in the log, which a start reads again.
	memtable     = 8 << 20
	memtablesMax = 6
	// A disk that takes nothing is tried so often with a file of this size.
	probeEvery = 5 * time.Second
	probeSize  = 1 << 20

	// tableSize bounds a file, and with it what is lost when its head is damaged.
	tableSize = 4 << 20
)

// Config says how much a KV may use. Zero fields mean the defaults.
type Config struct {
	// Cache is how many bytes of the disk are held in memory; some 50 MiB are taken
	// besides.
	Cache int64
	// OpenFiles bounds how many files are open at a time.
	OpenFiles int
	// FS is the file system, that of the operating system if nil.
	FS vfs.FS
	// Uptime tells since which boot the machine is up and for how long; an empty name if
	// that is not known. Nil is store.SystemUptime.
	Uptime func() (boot string, up time.Duration)

	after func(d time.Duration) <-chan time.Time // of tests
}

func (c Config) withDefaults() Config {
	if c.Cache <= 0 {
		c.Cache = DefaultCache
	}
	if c.OpenFiles <= 0 {
		c.OpenFiles = DefaultOpenFiles
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Uptime == nil {
		c.Uptime = store.SystemUptime
	}
	return c
}

// Open opens the store in dir and makes it if there is none. The error says what to do:
// it wraps ErrInUse, ErrFormat or what the file system said.
func Open(dir string, cfg Config) (*KV, error) {
	cfg = cfg.withDefaults()
	p, err := enter(cfg.FS, dir)
	if err != nil {
		return nil, err
	}
	kv := &KV{health: newHealth(), place: p, uptime: cfg.Uptime, writes: make(chan *change, queueLen), stop: make(chan struct{})}
	kv.syncs.wake = make(chan struct{}, 1)
	kv.damage.saved = make(chan struct{})
	kv.shut = sync.OnceValue(kv.close)
	if cfg.after != nil {
		kv.health.after = cfg.after
	}
	if err := kv.start(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("store: opening %s: %w", dir, err), p.unlock())
	}
	return kv, nil
}

// start opens the current database, or begins a new one if that is damaged, and saves what
// can be saved.
func (kv *KV) start(cfg Config) error {
	p := &kv.place
	n, wrecks, err := p.current()
	if err != nil {
		return err
	}
	damaged := n > 0 && p.knownDamaged(n)
	if !damaged && n > 0 && p.logsDamaged(n) {
		_, t := liveTables(kv, p.path(dbName(n)))
		name, err := p.setLogsAside(n, t.batch)
		if err != nil {
			return err
		}
		wrecks = append(wrecks, name)
	}
	if !damaged {
		err = kv.open(p.path(dbName(max(n, 1))), cfg)
		if err != nil && (n == 0 || !isDamage(err)) {
			return err
		}
		damaged = err != nil
	}
	last := max(n, 1)
	if damaged {
		name, err := p.setAside(n)
		if err != nil {
			return err
		}
		wrecks = append(wrecks, name)
		last = n + 1
		if err := kv.open(p.path(dbName(last)), cfg); err != nil {
			return err
		}
	}
	p.db = dbName(last)
	if had, has := p.safe(), kv.totals.Load().batch; had > has {
		if len(wrecks) == 0 {
			kv.stats.lostBatches.Store(had - has)
		} else {
			_ = p.fs.Remove(p.path(safeFile)) // they are saved, in fewer batches
		}
	}
	if kv.health.failure() != nil {
		close(kv.damage.saved) // what is to be saved waits for the next start
		kv.idle.Add(1)
		go kv.await(p.path(dbName(last)), cfg)
		return nil
	}
	kv.salvage(wrecks)
	return nil
}

// isDamage reports whether a database does not open because of what is in its files, not
// because of what may be done with them.
func isDamage(err error) bool {
	for _, other := range []error{
		ErrDisk, fs.ErrPermission, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.ENOMEM,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return !strings.Contains(err.Error(), "format major version")
}

// open opens the database in dir and starts the two goroutines that write to it. If the disk
// takes nothing, the database is read only, until it does.
func (kv *KV) open(dir string, cfg Config) error {
	err := kv.openTo(dir, cfg, false)
	if err == nil {
		db := kv.db
		kv.health.recovered()
		kv.idle.Add(2)
		go kv.write(db)
		go kv.syncs.run(kv, db)
		return nil
	}
	if !takesNothing(err) {
		return err
	}
	if kv.openTo(dir, cfg, true) != nil {
		return err
	}
	kv.health.fail(err, false)
	return nil
}

// openTo opens the database in dir for kv.
func (kv *KV) openTo(dir string, cfg Config, readOnly bool) error {
	g := newGuard(cfg.FS, kv.health)
	o := kv.options(cfg, g)
	o.ReadOnly = readOnly
	db, err := g.open(dir, o)
	if err != nil {
		return err
	}
	t, err := readTotals(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	kv.totals.Store(&t)
	kv.db, kv.guard = db, g
	g.live.Store(true)
	return nil
}

// takesNothing reports whether err is one of a disk that cannot be written to.
func takesNothing(err error) bool {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// await opens a database that is read only once more when the disk takes something.
func (kv *KV) await(dir string, cfg Config) {
	defer kv.idle.Done()
	for kv.health.failure() != nil {
		select {
		case <-kv.stop:
			return
		case <-kv.health.after(probeEvery):
		}
		if writeFile(kv.place.fs, kv.place.dir, probeFile, make([]byte, probeSize)) == nil {
			kv.reopen(dir, cfg)
		}
		_ = kv.place.fs.Remove(kv.place.path(probeFile))
		_ = kv.place.fs.Remove(kv.place.path(probeFile + ".new"))
	}
}

// reopen opens the database in dir again; readers wait.
func (kv *KV) reopen(dir string, cfg Config) {
	kv.life.Lock()
	defer kv.life.Unlock()
	if kv.db == nil {
		return
	}
	_ = kv.db.Close()
	for kv.open(dir, cfg) != nil {
		select {
		case <-kv.stop: // Close finds it closed
			kv.db = nil
			return
		case <-kv.health.after(probeEvery):
		}
	}
}

// salvage adopts what is left of databases that were damaged. What takes longer than a
// moment goes on in the background.
func (kv *KV) salvage(names []string) {
	if len(names) == 0 {
		close(kv.damage.saved)
		return
	}
	var wrecks []*wreck
	for _, name := range names {
		w := inspect(kv, kv.place.path(name))
		wrecks = append(wrecks, w)
		if m := w.totals.moment; m.tick > kv.totals.Load().moment.tick {
			_ = kv.change(func(tx *tx) error { return tx.tell(m) })
		}
	}
	kv.idle.Add(1)
	go func() {
		defer kv.idle.Done()
		defer close(kv.damage.saved)
		for _, w := range wrecks {
			if w.adopt() != nil {
				return // the next start goes on
			}
		}
	}()
	select {
	case <-kv.damage.saved:
	case <-time.After(headStart):
	}
}

// open is lsm.Open, but a write that fails and what the database calls fatal are errors.
// What it began is then left where it stands.
func (g *guard) open(dir string, o *lsm.Options) (*lsm.DB, error) {
	type result struct {
		db  *lsm.DB
		err error
	}
	done := make(chan result, 1)
	go func() {
		db, err := lsm.Open(dir, o)
		done <- result{db, err}
	}()
	select {
	case r := <-done:
		return r.db, r.err
	case err := <-g.fatal:
		g.dead.Store(true)
		return nil, err
	}
}

func (kv *KV) options(cfg Config, g *guard) *lsm.Options {
	o := &lsm.Options{
		FS:                          g,
		Logger:                      g,
		CacheSize:                   cfg.Cache,
		MaxOpenFiles:                cfg.OpenFiles,
		MemTableSize:                memtable,
		MemTableStopWritesThreshold: memtablesMax,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1 << 20, // a file that is damaged stops compactions, not writes
		FormatMajorVersion:          lsm.FormatTableFormatV6,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
	}
	for i := range o.Levels {
		o.TargetFileSizes[i] = tableSize
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	o.Experimental.EnableColumnarBlocks = func() bool { return false } // see readTable
	o.EventListener = &lsm.EventListener{DataCorruption: kv.damaged}
	return o
}

// readTotals reads what the last run wrote.
func readTotals(db *lsm.DB) (totals, error) {
	b, closer, err := db.Get(metaKey)
	if errors.Is(err, lsm.ErrNotFound) {
		return totals{}, nil
	}
	if err != nil {
		return totals{}, err
	}
	defer closer.Close() //nolint:errcheck // only returns a block to the cache
	return parseTotals(b)
}
