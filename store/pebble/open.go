package pebble

import (
	"errors"
	"fmt"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
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
	// Uptime returns how many seconds the machine has been running, and a name of this
	// run of it, empty if neither is known. Nil asks the machine.
	Uptime func() (seconds int64, boot string)
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
		c.Uptime = machineUptime
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
	n, err := p.current()
	if err != nil {
		return nil, errors.Join(err, p.unlock())
	}
	kv := &KV{guard: newGuard(cfg.FS), place: p, uptime: cfg.Uptime, writes: make(chan *change, queueLen), stop: make(chan struct{})}
	kv.syncs.wake = make(chan struct{}, 1)
	if err := kv.open(p.path(dbName(max(n, 1))), cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("store: opening %s: %w", dir, err), p.unlock())
	}
	return kv, nil
}

// open opens the database in dir and starts the two goroutines that use it.
func (kv *KV) open(dir string, cfg Config) error {
	db, err := kv.guard.open(dir, kv.options(cfg))
	if err != nil {
		return err
	}
	t, err := readTotals(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	kv.totals.Store(&t)
	kv.db = db
	kv.guard.live.Store(true)
	kv.idle.Add(2)
	go kv.write(db)
	go kv.syncs.run(kv, db)
	return nil
}

// open is lsm.Open, but what the database calls fatal is an error.
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
	case <-g.failing():
		return nil, g.failure()
	}
}

func (kv *KV) options(cfg Config) *lsm.Options {
	o := &lsm.Options{
		FS:                          kv.guard,
		Logger:                      kv.guard,
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
	}
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
