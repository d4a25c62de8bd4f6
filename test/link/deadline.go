package link

import (
	"os"
	"sync"
	"time"
)

// deadline is the instant after which reading waits no longer; zero for never.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{} // closed and replaced by set
}

func newDeadline() *deadline { return &deadline{moved: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	close(d.moved)
	d.moved = make(chan struct{})
}

// wait returns what to wait for: the deadline, and its being moved; or an error if it
// has passed.
func (d *deadline) wait() (alarm <-chan time.Time, moved <-chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() {
		return nil, d.moved, nil
	}
	left := time.Until(d.at)
	if left <= 0 {
		return nil, nil, os.ErrDeadlineExceeded
	}
	return time.After(left), d.moved, nil
}
