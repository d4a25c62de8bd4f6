package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	lsm "github.com/cockroachdb/pebble/v2"
	entries "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"github.com/kdht/kdht/protocol/keyspace"
)

// A database that does not open, or of which a block could not be read in the last run,
// is moved aside and a new one begun at once; if only its logs are damaged, they alone.
// Then all that can still be read of the old one, file by file and block by block, is
// adopted by the new one in the background, and what is left of the old one removed. A
// start that is interrupted meanwhile goes on with that. A record that is older than what
// the new database holds for its key is not adopted. What had been deleted a moment before
// the damage may come back; it ages as it would have.

const (
	// headStart is how long Open waits for all to be adopted: a small store is whole when
	// it opens, a large one soon after (reliability.md P15: two seconds).
	headStart = time.Second
	// adoptChunk is how many records are adopted in one batch.
	adoptChunk = 256
)

// wreck is a damaged database that is read for what it still holds.
type wreck struct {
	kv  *KV
	dir string

	files  []string // tables, the newest first
	totals totals   // the latest that can be read
	log    logged   // what the tables do not hold yet

	chunk []adopted
}

type adopted struct {
	key keyspace.Key
	record
}

// logged is what the logs hold: for every key the last record, nil if it was deleted. It
// is what the database would have held in memory, and so is its size.
type logged map[keyspace.Key]*record

// inspect reads what is small: which tables hold, the totals and the logs.
func inspect(kv *KV, dir string) *wreck {
	w := &wreck{kv: kv, dir: dir, log: make(logged)}
	names, _ := kv.place.fs.List(dir)
	var live []string
	live, w.totals = liveTables(kv, dir)
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") && (live == nil || slices.Contains(live, name)) {
			w.files = append(w.files, name)
		}
	}
	flushed := w.totals.batch
	if _, after, ok := strings.Cut(kv.place.fs.PathBase(dir), wreckAfter); ok {
		flushed, _ = strconv.ParseUint(after, 10, 64)
	}
	gaps := scanLogs(kv.place.fs, dir, func(b []byte) { w.replay(b, flushed) })
	kv.stats.lostBlocks.Add(uint64(gaps))
	return w
}

// liveTables returns the names of the tables of a database that hold, nil if that cannot
// be read, and the totals in them. The logs and the options, which may be damaged, are
// hidden.
func liveTables(kv *KV, dir string) ([]string, totals) {
	disk := kv.place.fs
	if tornManifest(disk, dir) {
		return nil, totals{}
	}
	g := newGuard(tablesOnly{disk}, newHealth())
	o := kv.options(Config{Cache: 1 << 20, OpenFiles: DefaultOpenFiles}, g)
	o.ReadOnly, o.EventListener = true, &lsm.EventListener{DataCorruption: func(lsm.DataCorruptionInfo) {}}
	db, err := g.open(dir, o)
	if err != nil {
		return nil, totals{}
	}
	defer db.Close() //nolint:errcheck // only read
	levels, err := db.SSTables()
	if err != nil {
		return nil, totals{}
	}
	names := make([]string, 0, 16)
	for _, level := range levels {
		for _, table := range level {
			names = append(names, fmt.Sprintf("%s.sst", table.BackingSSTNum))
		}
	}
	t, _ := readTotals(db)
	return names, t
}

// tornManifest reports whether the list of the database's tables ends in the middle of an
// entry. The database takes that for the end, and removes the tables it does not know.
func tornManifest(disk vfs.FS, dir string) bool {
	name, err := atomicfs.ReadMarker(disk, dir, "manifest")
	if err != nil || name == "" {
		return false
	}
	f, err := disk.Open(disk.PathJoin(dir, name))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close() //nolint:errcheck // only read
	list := entries.NewReader(f, 0)
	for {
		entry, err := list.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, entry)
		}
		if err != nil {
			return !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
	}
}

// adopt takes over all that can be read, the newest first, and removes the wreck. It ends
// early when the store is closed.
func (w *wreck) adopt() error {
	for key, r := range w.log {
		var err error
		if r == nil {
			err = w.kv.Delete(key) // which only a database that lost nothing but its logs holds
		} else {
			err = w.take(key, *r)
		}
		if err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	for _, name := range w.files {
		if err := w.readTable(name); err != nil {
			return err
		}
	}
	if err := errors.Join(w.flush(), w.kv.Sync()); err != nil {
		return err
	}
	return w.kv.place.fs.RemoveAll(w.dir)
}

// take adopts one record in its turn.
func (w *wreck) take(key keyspace.Key, r record) error {
	w.chunk = append(w.chunk, adopted{key, r})
	if len(w.chunk) < adoptChunk {
		return nil
	}
	return w.flush()
}

func (w *wreck) flush() error {
	chunk := w.chunk
	w.chunk = make([]adopted, 0, adoptChunk)
	return w.kv.change(func(tx *tx) error {
		for i := range chunk {
			a := &chunk[i]
			if now := tx.totals.moment.tick; now != 0 {
				a.at = min(a.at, now)
			}
			old, err := tx.held(&a.key)
			if err != nil {
				return err
			}
			if _, newer := w.log[a.key]; old.held && (old.at > a.at || old.at == a.at && !newer) {
				continue
			}
			if err := tx.put(&a.key, a.record); err != nil {
				return err
			}
			tx.kv.stats.salvaged.Add(1)
		}
		return nil
	})
}

// tablesOnly hides a database's logs and options.
type tablesOnly struct{ vfs.FS }

func (t tablesOnly) List(dir string) ([]string, error) {
	names, err := t.FS.List(dir)
	return slices.DeleteFunc(names, func(name string) bool {
		return strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "OPTIONS")
	}), err
}
