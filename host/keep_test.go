package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// dialer is a Transport that only connects, and writes down when it was asked to.
type dialer struct {
	Transport
	mu        sync.Mutex
	up        map[peer.ID]bool
	connected map[peer.ID]bool
	slow      time.Duration
	tries     map[peer.ID][]time.Time
	now, most int
}

func newDialer() *dialer {
	return &dialer{up: make(map[peer.ID]bool), connected: make(map[peer.ID]bool), tries: make(map[peer.ID][]time.Time)}
}

func (d *dialer) ID() peer.ID { return "self" }

func (d *dialer) Connected(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connected[p]
}

func (d *dialer) enough(n int) func() bool {
	return func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.connected) >= n
	}
}

func (d *dialer) Connect(ctx context.Context, p peer.AddrInfo) error {
	d.mu.Lock()
	d.tries[p.ID] = append(d.tries[p.ID], time.Now())
	d.now++
	d.most = max(d.most, d.now)
	slow := d.slow
	d.mu.Unlock()
	var err error
	if slow > 0 {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(slow):
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now--
	if err == nil && !d.up[p.ID] {
		err = ErrUnreachable
	}
	if err == nil {
		d.connected[p.ID] = true
	}
	return err
}

func infos(ids ...peer.ID) func() []peer.AddrInfo {
	var all []peer.AddrInfo
	for _, id := range ids {
		all = append(all, peer.AddrInfo{ID: id})
	}
	return func() []peer.AddrInfo { return all }
}

func TestKeepConnectedBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		reports := 0
		KeepConnected(ctx, d, infos("down", "self", "down"), d.enough(1), func(p peer.AddrInfo, err error) {
			if p.ID != "down" || !errors.Is(err, ErrUnreachable) {
				t.Errorf("report %v, %v", p, err)
			}
			reports++
		})
		tries := d.tries["down"]
		if len(tries) != reports || len(d.tries["self"]) > 0 {
			t.Errorf("%d attempts, %d reports", len(tries), reports)
		}
		wait := time.Second
		for i := 1; i < len(tries); i++ {
			got := tries[i].Sub(tries[i-1])
			// from half to one and a half of the wait, looked at once a second
			if got < wait/2 || got > wait*3/2+time.Second {
				t.Errorf("wait %d: %v, want about %v", i, got, wait)
			}
			wait = min(2*wait, time.Minute)
		}
		if len(tries) < 25 || len(tries) > 50 {
			t.Errorf("%d attempts in half an hour", len(tries))
		}
	})
}

func TestKeepConnectedReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer()
		d.up["a"], d.up["b"] = true, true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			KeepConnected(ctx, d, infos("a", "b", "down"), d.enough(2), nil)
		}()
		synctest.Wait()
		if len(d.connected) != 2 {
			t.Fatalf("at the start: %v", d.connected)
		}
		before := len(d.tries["a"]) + len(d.tries["b"]) + len(d.tries["down"])
		time.Sleep(time.Hour)
		if after := len(d.tries["a"]) + len(d.tries["b"]) + len(d.tries["down"]); after != before {
			t.Errorf("%d attempts while there were enough", after-before)
		}
		d.mu.Lock()
		clear(d.connected)
		d.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(d.connected) != 2 {
			t.Errorf("after losing all: %v", d.connected)
		}
		cancel()
		<-done
	})
}

func TestKeepConnectedFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer()
		d.slow = time.Hour // longer than one attempt may take
		var ids []peer.ID
		for i := range 50 {
			ids = append(ids, peer.ID(fmt.Sprint(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		KeepConnected(ctx, d, infos(ids...), d.enough(1), nil)
		if got := time.Since(start); got != 10*time.Minute {
			t.Errorf("returned after %v, its context ended after 10m", got)
		}
		if d.most != keepAtOnce {
			t.Errorf("%d attempts at once", d.most)
		}
		if len(d.tries) != len(ids) {
			t.Errorf("%d of %d peers tried", len(d.tries), len(ids))
		}
	})
}

// A peer that takes the connection and drops it at once is no reason to hurry.
func TestKeepConnectedToPeerThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer()
		d.up["a"] = true
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		KeepConnected(ctx, d, infos("a"), d.enough(1), func(peer.AddrInfo, error) {
			d.mu.Lock()
			clear(d.connected)
			d.mu.Unlock()
		})
		if n := len(d.tries["a"]); n < 10 || n > 25 {
			t.Errorf("%d attempts in ten minutes", n)
		}
	})
}
