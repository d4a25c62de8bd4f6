package main

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// folder keeps each record in a file of its own, where any tool can look at it, and a
// copy of all in memory. Records outlive the program, not a power failure: store/pebble
// is for that, and for millions.
//
// Invariant: under mu, the files and the memory hold the same.
type folder struct {
	*store.Memory // reads are its own

	mu  sync.Mutex
	dir string
}

var _ store.KV = (*folder)(nil)

const ending = ".record"

// openFolder reads what an earlier run has left in dir, made if it does not exist. What
// is no record is left alone.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &folder{Memory: store.NewMemory(), dir: dir}
	files, err := filepath.Glob(filepath.Join(dir, "*"+ending))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		var key keyspace.Key
		raw, err := hex.DecodeString(strings.TrimSuffix(filepath.Base(name), ending))
		if err != nil || copy(key[:], raw) != len(key) || len(raw) != len(key) {
			continue
		}
		value, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := f.Memory.Put(key, value); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *folder) file(key keyspace.Key) string { return filepath.Join(f.dir, key.String()+ending) }

// Put implements store.KV. The file is there whole or not at all.
func (f *folder) Put(key keyspace.Key, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, _, err := f.Get(key); err != nil { // closed
		return err
	}
	name := f.file(key)
	if err := os.WriteFile(name+".new", value, 0o600); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return f.Memory.Put(key, value)
}

// Delete implements store.KV.
func (f *folder) Delete(key keyspace.Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, found, err := f.Get(key); err != nil || !found {
		return err
	}
	if err := os.Remove(f.file(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.Memory.Delete(key)
}
