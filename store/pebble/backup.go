package pebble

import (
	"errors"
	"fmt"
	"io/fs"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/kdht/kdht/store"
)

// Backup writes a copy of the store as it is now into dir, which must not exist, while
// the store goes on. Open opens the copy; files that do not change any more are shared
// with it where the file system can.
func (kv *KV) Backup(dir string) error {
	kv.life.RLock()
	defer kv.life.RUnlock()
	if kv.db == nil {
		return store.ErrClosed
	}
	if err := kv.health.failure(); err != nil {
		return err
	}
	disk := kv.place.fs
	names, err := disk.List(dir)
	if len(names) > 0 {
		return fmt.Errorf("store: backup into %s: it is not empty: name a directory that does not exist yet", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file, say: what is removed below is ours
		return fmt.Errorf("store: backup into %s: %w: name a directory that does not exist yet", dir, err)
	}
	to := place{fs: disk, dir: dir}
	err = makeDir(disk, dir)
	if err == nil {
		err = to.claim()
	}
	if err == nil {
		err = kv.db.Checkpoint(to.path(dbName(1)), lsm.WithFlushedWAL())
	}
	if err == nil {
		err = syncDir(disk, dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: backup into %s: %w", dir, err), disk.RemoveAll(dir))
	}
	return nil
}
