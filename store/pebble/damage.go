package pebble

import (
	"sync"
	"sync/atomic"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/protocol/keyspace"
)

// damage is what a running store does about bytes of its files that are not what was
// written: what cannot be read is not found, and the next Open makes a new database of the
// rest.
type damage struct {
	lost  lostKeys
	saved chan struct{} // closed when this run saves nothing more of databases that were damaged
	found atomic.Bool

	mu   sync.Mutex
	told bool // the next Open will know
}

// damaged is called by the database, which must not wait for the disk.
func (kv *KV) damaged(lsm.DataCorruptionInfo) {
	if !kv.damage.found.Swap(true) {
		go kv.damage.tell(&kv.place)
	}
}

// tell leaves a note for the next Open.
func (d *damage) tell(p *place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.told {
		d.told = writeFile(p.fs, p.dir, damagedFile, nil) == nil
	}
}

// lostKeys remembers keys that could not be read, because the database takes some ten
// milliseconds to find that out once more. The zero value remembers none.
type lostKeys struct {
	any atomic.Bool

	mu   sync.Mutex
	keys map[keyspace.Key]struct{}
}

// maxLost bounds how many are remembered.
const maxLost = 1 << 14

func (l *lostKeys) has(key *keyspace.Key) bool {
	if !l.any.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, lost := l.keys[*key]
	return lost
}

func (l *lostKeys) add(key *keyspace.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = make(map[keyspace.Key]struct{})
	}
	if len(l.keys) < maxLost {
		l.keys[*key] = struct{}{}
		l.any.Store(true)
	}
}

// remove forgets a key that was put again.
func (l *lostKeys) remove(key *keyspace.Key) {
	if l.any.Load() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.keys, *key)
	}
}
