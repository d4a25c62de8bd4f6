package providerlog

import (
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/store"
)

const (
	// gather is how long the writer waits for company before it writes: a program
	// that is killed loses what was announced in this time.
	gather = 2 * time.Millisecond
	// retry is how long it waits after the disk refused (reliability.md P16).
	retry = time.Second
)

// write is the goroutine that writes what is appended.
func (s *Store) write() {
	var again <-chan time.Time // set while the disk refuses
	for {
		kick := s.tail.kick
		if again != nil {
			kick = nil
		}
		var err error
		select {
		case <-kick:
			err = s.gather()
		case <-again:
			err = s.drain()
		case done := <-s.work.flush:
			err = s.drain()
			done <- err
		case <-s.work.stop:
			return
		}
		again = nil
		if err != nil {
			again = time.After(retry)
		}
	}
}

// gather waits a little and writes what has come.
func (s *Store) gather() error {
	wait := time.NewTimer(gather)
	defer wait.Stop()
	select {
	case <-wait.C:
		return s.drain()
	case done := <-s.work.flush:
		err := s.drain()
		done <- err
		return err
	case <-s.work.stop:
		return nil
	}
}

// drain writes all that is pending, or keeps what cannot be written.
func (s *Store) drain() error {
	pending := s.tail.take()
	for i := range pending {
		if err := s.writeBatch(&pending[i]); err != nil {
			s.tail.putBack(pending[i:])
			s.health.failed(&s.health.writeErrors, err)
			return err
		}
		s.tail.done(&pending[i])
		s.soil()
	}
	return nil
}

// soil tells the keeper that there is something to sync.
func (s *Store) soil() {
	select {
	case s.work.dirty <- struct{}{}:
	default:
	}
}

func (s *Store) writeBatch(b *batch) error {
	f, err := s.fileOf(b.to)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b.data, b.at)
	return err
}

// fileOf returns the file of a segment that is written to, made if it is new.
func (s *Store) fileOf(to *segment) (file, error) {
	if f := s.tail.file(to); f != nil {
		return f, nil
	}
	f, err := s.disk.Create(to.name.in(s.dir))
	if err == nil {
		s.tail.setFile(to, f)
	}
	return f, err
}

// keep is the goroutine that syncs what is written and compacts the log.
func (s *Store) keep() {
	var due <-chan time.Time
	var pass *compaction
	always := make(chan struct{})
	close(always)
	for {
		var more chan struct{} // ready while there is a compaction to go on with
		if pass != nil {
			more = always
		}
		select {
		case <-s.work.dirty:
			if due == nil {
				due = time.After(s.cfg.SyncInterval)
			}
		case <-due:
			due = nil
			if err := s.syncFiles(); err != nil {
				due = time.After(max(retry, s.cfg.SyncInterval))
			}
			if pass == nil {
				pass = s.crowded()
			}
		case <-more:
			if !pass.step() {
				pass = nil
			}
		case <-s.work.stop:
			if pass != nil {
				pass.abandon()
			}
			return
		}
	}
}

// syncFiles makes what is written safe and closes files that are complete.
func (s *Store) syncFiles() error {
	s.work.syncing <- struct{}{}
	defer func() { <-s.work.syncing }()
	var errs []error
	for _, u := range s.tail.unsynced() {
		if err := s.syncFile(u); err != nil {
			s.health.failed(&s.health.syncErrors, err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Store) syncFile(u unsynced) error {
	if err := u.f.Sync(); err != nil {
		return err
	}
	if !u.named {
		if err := s.disk.SyncDir(s.dir); err != nil {
			return err
		}
	}
	if s.tail.synced(u) {
		return u.f.Close()
	}
	return nil
}

// Sync returns when everything announced before is safe on the disk.
func (s *Store) Sync() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.sync()
}

func (s *Store) sync() error {
	done := make(chan error, 1)
	select {
	case s.work.flush <- done:
	case <-s.work.stop:
		return store.ErrClosed
	}
	if err := <-done; err != nil {
		return fmt.Errorf("providerlog: writing to %s: %w: free or repair the disk; meanwhile records are kept in memory only", s.dir, err)
	}
	if err := s.syncFiles(); err != nil {
		return fmt.Errorf("providerlog: syncing %s: %w: check the disk", s.dir, err)
	}
	return nil
}

// Close writes and syncs what is left and forgets all records in memory. It waits
// for the disk a moment only: the error says what could not be kept.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- s.finish() }()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		return fmt.Errorf("providerlog: %s did not answer within %v: up to %d bytes of announcements are not kept; check the disk",
			s.dir, closeLimit, s.Stats().Pending)
	}
}

// settle waits until announcements that had begun have ended.
func (s *Store) settle() {
	s.order.Lock()
	defer s.order.Unlock()
}

// finish is what Close does.
func (s *Store) finish() error {
	s.settle()
	err := s.sync()
	close(s.work.stop)
	s.work.ended.Wait() // before the index is emptied: a compaction asks it what to keep
	for _, f := range s.tail.files() {
		_ = f.Close() // what it held was synced, or its failure was told
	}
	return errors.Join(err, s.index.Close(), s.lock.Close())
}
