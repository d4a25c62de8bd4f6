package pebble

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// retryEvery is how long the disk is left alone after it refused a write.
const retryEvery = time.Second

// health is whether the disk takes writes, as far as is known.
type health struct {
	retries atomic.Uint64 // attempts made again

	turn  sync.Mutex                             // held by who waits before trying again
	after func(d time.Duration) <-chan time.Time // time.After

	mu    sync.Mutex
	cause error         // why writes are refused, nil if they are not
	final bool          // cause is for good
	down  chan struct{} // closed while there is a cause
	up    chan struct{} // closed when there is none any more
}

func newHealth() *health {
	return &health{after: time.After, down: make(chan struct{}), up: make(chan struct{})}
}

// failure returns why writes are refused, nil if they are not.
func (h *health) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}

// failing returns a channel that is closed once writes are refused.
func (h *health) failing() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// fail refuses writes from now on and returns a channel that is closed when there are
// writes again.
func (h *health) fail(err error, final bool) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause == nil {
		close(h.down)
	}
	if !h.final {
		h.cause, h.final = explain(err, final), final
	}
	return h.up
}

// recovered takes writes again after one of those that failed succeeded.
func (h *health) recovered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause == nil || h.final {
		return
	}
	close(h.up)
	h.cause, h.down, h.up = nil, make(chan struct{}), make(chan struct{})
}

// wait returns when it is this goroutine's turn to try again.
func (h *health) wait(up <-chan struct{}) {
	h.turn.Lock()
	defer h.turn.Unlock()
	select {
	case <-up:
	case <-h.after(retryEvery):
		h.retries.Add(1)
	}
}

// explain turns a failed write into what its user can do about it.
func explain(err error, final bool) error {
	advice := "see to the disk; writes go on by themselves once it takes them"
	switch {
	case final:
		advice = "see to the disk, then start again"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "free some space; writes go on by themselves"
	case errors.Is(err, syscall.EROFS):
		advice = "mount the disk writable; writes go on by themselves"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		advice = "raise the limit of open files; writes go on by themselves"
	}
	return fmt.Errorf("%w: %w: %s", ErrDisk, err, advice)
}
