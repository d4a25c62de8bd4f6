package providerlog

import (
	"sync"
	"sync/atomic"
)

// Stats is how a Store is.
type Stats struct {
	Records, Keys int
	// Segments is the number of files, Disk their size in bytes, Pending what of it
	// waits in memory to be written.
	Segments int
	Disk     int64
	Pending  int
	// Appended counts what was added to the log, Unlogged what is in memory only
	// because too much was waiting for the disk.
	Appended, Unlogged uint64
	// WriteErrors and SyncErrors count what the disk refused, LastError is the
	// latest, empty if there was none.
	WriteErrors, SyncErrors uint64
	LastError               string
	// Compactions counts the passes over the log that dropped what is outdated.
	Compactions uint64
	// Loaded is what has been read of the log of earlier runs; Loading says that there
	// is more.
	Loaded  Loaded
	Loading bool
}

// health counts what goes wrong.
type health struct {
	writeErrors, syncErrors, compactions atomic.Uint64

	mu   sync.Mutex // guards last
	last error
}

func (h *health) failed(count *atomic.Uint64, err error) {
	count.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
}

func (h *health) lastError() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		return ""
	}
	return h.last.Error()
}

// Stats returns how the store is now.
func (s *Store) Stats() Stats {
	st := Stats{
		Records: s.index.Len(), Keys: s.index.Keys(),
		WriteErrors: s.health.writeErrors.Load(), SyncErrors: s.health.syncErrors.Load(), LastError: s.health.lastError(),
		Compactions: s.health.compactions.Load(), Loading: !s.ready(),
	}
	s.loading.mu.Lock()
	st.Loaded = s.loading.found
	s.loading.mu.Unlock()
	l := &s.tail
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seg := range l.segments() {
		st.Segments++
		st.Disk += seg.size
	}
	st.Pending, st.Appended, st.Unlogged = l.waiting, l.appended, l.unlogged
	return st
}
