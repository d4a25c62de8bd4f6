// Package data is what a node keeps on disk beside its key:
//
//	values/     values held for others          store/pebble
//	own/        values that it puts again       store/pebble
//	providers/  provider records                store/providerlog
//	table       the routing table's contacts    routing/snapshot
//	lan/        all this of the local network, where the node is in one beside
//
// all readable for their owner alone, each with a form and a version of its own.
//
// The invariant: a directory is open in one process at a time, and what is open is
// closed by the DHT that is given its stores, or by Close.
package data

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/snapshot"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/keystore"
	"github.com/kdht/kdht/store/pebble"
	"github.com/kdht/kdht/store/providerlog"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Stores are a node's, on disk or in memory.
type Stores struct {
	// Dir is the directory, empty if all is in memory.
	Dir       string
	Values    *store.ValueStore
	Providers store.Providers

	values, own *pebble.KV // nil in memory
	announced   *pebble.KV
	keys        *keystore.Keystore
	table       *snapshot.File
}

// Rules are those that values are judged by; nil stands for those of a private
// network.
type Rules = record.Validator

// Memory returns stores that end with the node called self.
func Memory(self peer.ID, rules Rules) *Stores {
	return &Stores{Values: values(store.NewMemory(), self, rules), Providers: store.NewProviders(providers(self))}
}

func values(kv store.KV, self peer.ID, rules Rules) *store.ValueStore {
	if rules == nil {
		rules = store.DefaultNamespaces(time.Now)
	}
	return store.NewValues(kv, rules, store.ValuesConfig{Self: keyspace.KeyOfString(string(self))})
}

func providers(self peer.ID) store.ProvidersConfig {
	return store.ProvidersConfig{Self: keyspace.KeyOfString(string(self)), Seed: rand.Uint64()}
}

// Open opens the stores in dir, made if it does not exist, of the node called self.
func Open(dir string, self peer.ID, rules Rules) (*Stores, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, control.AsError(err)
	}
	s := &Stores{Dir: dir, table: snapshot.NewFile(filepath.Join(dir, "table"))}
	if err := s.open(self, rules); err != nil {
		_ = s.Close()
		return nil, explained(dir, err)
	}
	return s, nil
}

func (s *Stores) open(self peer.ID, rules Rules) (err error) {
	if err := Private(s.Dir); err != nil {
		return err
	}
	if s.values, err = pebble.Open(filepath.Join(s.Dir, "values"), pebble.Config{}); err != nil {
		return err
	}
	s.Values = values(s.values, self, rules)
	if err := s.Values.Load(time.Now()); err != nil {
		return err
	}
	// There are few of them, and each is read once in 22 hours.
	if s.own, err = pebble.Open(filepath.Join(s.Dir, "own"), pebble.Config{Cache: 1 << 20, OpenFiles: 16}); err != nil {
		return err
	}
	// They are read and written by regions, each once in 22 hours.
	if s.announced, err = pebble.Open(filepath.Join(s.Dir, "announced"), pebble.Config{Cache: 4 << 20, OpenFiles: 32}); err != nil {
		return err
	}
	if s.keys, err = keystore.Open(s.announced); err != nil {
		return err
	}
	log, err := providerlog.Open(filepath.Join(s.Dir, "providers"), providerlog.Config{Providers: providers(self), Uptime: providerlog.SystemUptime})
	if err != nil {
		return err
	}
	s.Providers = log
	return nil
}

// Beside opens the stores of another network that the node is in at the same time,
// in a directory of s's.
func (s *Stores) Beside(name string, self peer.ID, rules Rules) (*Stores, error) {
	return Open(filepath.Join(s.Dir, name), self, rules)
}

// Private makes the directory dir for its owner alone if it does not exist, and
// refuses one that others may write to.
func Private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return explained(dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return explained(dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 && os.PathSeparator == '/' {
		return control.Errorf(control.Failed, "the data directory %s is open to others (mode %04o): run: chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// explained says what to do about a directory that cannot be opened.
func explained(dir string, err error) error {
	var known *control.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, pebble.ErrInUse):
		return InUse(dir)
	case errors.Is(err, fs.ErrPermission):
		return control.Errorf(control.Failed, "cannot write to the data directory %s: run as its owner, give another with --data-dir, or keep nothing with --memory", dir)
	}
	return control.Errorf(control.Failed, "cannot use the data directory %s: %s; give another with --data-dir, or keep nothing with --memory", dir, control.Line(err))
}

// InUse says that another process has the directory.
func InUse(dir string) error {
	return control.Errorf(control.Failed, "the data directory %s is in use by a running node: stop that one, or give this one another --data-dir", dir)
}

// Routing returns the stores as a DHT takes them, which closes them then.
func (s *Stores) Routing() routing.Stores {
	r := routing.Stores{Values: s.Values, Providers: s.Providers}
	if s.Dir != "" {
		r.Own, r.Keys, r.Table = s.own, s.keys, s.table
	}
	return r
}

// Disk returns how the files are, nil in memory.
func (s *Stores) Disk() *control.Disk {
	if s.Dir == "" {
		return nil
	}
	d := &control.Disk{}
	for _, kv := range []*pebble.KV{s.values, s.own, s.announced} {
		st := kv.Stats()
		d.Unreadable += st.Unreadable + st.LostBlocks + st.LostFiles
		d.Lost += st.LostBatches
		d.Saved += st.Salvaged
		d.Saving = d.Saving || st.Salvaging
		if st.Refused != nil {
			d.Refused = control.Line(st.Refused)
		}
	}
	if log, ok := s.Providers.(*providerlog.Store); ok {
		st := log.Stats()
		d.Unreadable += uint64(max(st.Loaded.Damaged, 0))
		d.Lost += uint64(max(st.Loaded.Lost, 0))
	}
	return d
}

// Close closes what is open, for who gives the stores to no DHT.
func (s *Stores) Close() error {
	var errs []error
	switch {
	case s.Values != nil:
		errs = append(errs, s.Values.Close())
	case s.values != nil:
		errs = append(errs, s.values.Close())
	}
	if s.own != nil {
		errs = append(errs, s.own.Close())
	}
	if s.announced != nil {
		errs = append(errs, s.announced.Close())
	}
	if s.Providers != nil {
		errs = append(errs, s.Providers.Close())
	}
	return errors.Join(errs...)
}

// Backup writes a copy of the values, those put again included, of the keys that are
// kept announced and of the table
// into the directory to, which must be empty or not exist. The node goes on
// meanwhile. Provider records are not in it: their providers announce them again
// within a day.
func (s *Stores) Backup(to string) error {
	if s.Dir == "" {
		return control.Errorf(control.Usage, "this node keeps its records in memory: there is nothing to copy; `kdht records export` writes them out")
	}
	if names, err := os.ReadDir(to); err == nil && len(names) > 0 {
		return control.Errorf(control.Usage, "%s is not empty: name a directory that does not exist yet", to)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return control.Errorf(control.Failed, "cannot make %s: %s", to, control.Line(err))
	}
	err := errors.Join(s.values.Backup(filepath.Join(to, "values")), s.own.Backup(filepath.Join(to, "own")), s.announced.Backup(filepath.Join(to, "announced")))
	if err == nil {
		err = s.copyTable(to)
	}
	if err != nil {
		return control.Errorf(control.Failed, "the copy in %s is not complete: %s; remove it and try again elsewhere", to, control.Line(err))
	}
	return nil
}

func (s *Stores) copyTable(to string) error {
	peers, err := s.table.Load()
	if err != nil || len(peers) == 0 {
		return nil // it is a hint, and will be there again
	}
	return snapshot.NewFile(filepath.Join(to, "table")).Save(peers)
}
