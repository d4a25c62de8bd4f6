package host

import (
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// watch follows the host's event bus for one Watcher. One goroutine takes events
// off the bus and notes whom they are about, which never blocks; another looks at
// those peers and reports what has changed. So a slow Watcher delays itself alone,
// and what waits for it is bounded by the number of peers.
type watch struct {
	e    *Endpoint
	w    Watcher
	sub  event.Subscription
	once sync.Once
	done sync.WaitGroup

	mu     sync.Mutex
	news   map[peer.ID]bool // true: identified anew
	order  []peer.ID        // keys of news, in order of arrival
	addrs  bool
	reach  *network.Reachability
	closed bool
	wake   chan struct{} // 1 when there is news

	connected map[peer.ID]voice // reported so far; the reporting goroutine's
}

// voice is what has been reported about a connected peer's protocols.
type voice int

const (
	unheard voice = iota
	speaking
	silent
)

// Watch reports events to w until stop is called; see Transport. stop waits for a
// report that is under way, so it must not be called from one.
func (e *Endpoint) Watch(w Watcher) (stop func(), err error) {
	sub, err := e.host.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerIdentificationFailed),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtLocalAddressesUpdated),
		new(event.EvtLocalReachabilityChanged),
	})
	if err != nil {
		return nil, fmt.Errorf("host: watch events: %w", err)
	}
	t := &watch{
		e: e, w: w, sub: sub,
		news: make(map[peer.ID]bool), wake: make(chan struct{}, 1),
		connected: make(map[peer.ID]voice),
	}
	e.mu.Lock()
	if e.closed.Load() {
		e.mu.Unlock()
		_ = sub.Close()
		return nil, ErrClosed
	}
	e.watching[t] = struct{}{}
	e.mu.Unlock()
	for _, p := range e.host.Network().Peers() {
		t.note(p, e.lists(p) != unknown)
	}
	t.done.Add(2)
	go t.collect()
	go t.report()
	return t.stop, nil
}

func (t *watch) stop() {
	t.once.Do(func() {
		t.e.mu.Lock()
		delete(t.e.watching, t)
		t.e.mu.Unlock()
		t.mu.Lock()
		t.closed = true
		t.mu.Unlock()
		_ = t.sub.Close() // ends collect, which ends report
	})
	t.done.Wait()
}

// collect takes events off the bus.
func (t *watch) collect() {
	defer t.done.Done()
	defer close(t.wake)
	for ev := range t.sub.Out() {
		switch ev := ev.(type) {
		case event.EvtPeerConnectednessChanged:
			t.note(ev.Peer, false)
		case event.EvtPeerIdentificationCompleted:
			t.note(ev.Peer, true)
		case event.EvtPeerIdentificationFailed:
			t.note(ev.Peer, true)
		case event.EvtPeerProtocolsUpdated:
			t.note(ev.Peer, true)
		case event.EvtLocalAddressesUpdated:
			t.local(func() { t.addrs = true })
		case event.EvtLocalReachabilityChanged:
			t.local(func() { t.reach = &ev.Reachability })
		}
	}
}

// note remembers that there is something to see about p.
func (t *watch) note(p peer.ID, identified bool) {
	t.local(func() {
		if was, ok := t.news[p]; ok {
			t.news[p] = was || identified
			return
		}
		t.news[p] = identified
		t.order = append(t.order, p)
	})
}

// local changes what is noted and wakes the reporter.
func (t *watch) local(change func()) {
	t.mu.Lock()
	change()
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// report tells the Watcher what has been noted, until stopped.
func (t *watch) report() {
	defer t.done.Done()
	for range t.wake {
		for t.next() {
		}
	}
}

// next reports one thing noted; false if there is none.
func (t *watch) next() bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	addrs, reach := t.addrs, t.reach
	t.addrs, t.reach = false, nil
	var p peer.ID
	var identified bool
	if len(t.order) > 0 {
		p, identified = t.order[0], t.news[t.order[0]]
		delete(t.news, p)
		if t.order = t.order[1:]; len(t.order) == 0 {
			t.order = nil
		}
	}
	t.mu.Unlock()
	if addrs {
		call(t.w.Addrs)
	}
	if reach != nil && t.w.Reachable != nil {
		t.w.Reachable(*reach)
	}
	if p != "" {
		t.look(p, identified)
	}
	return addrs || reach != nil || p != ""
}

// look compares what is true of p now with what has been reported.
func (t *watch) look(p peer.ID, identified bool) {
	said, known := t.connected[p]
	if !t.e.Connected(p) {
		// Told even of a peer that came and left unseen: the listener may have
		// heard of it in another way, by its request.
		delete(t.connected, p)
		tell(t.w.Disconnected, p)
		return
	}
	if !known {
		t.connected[p] = unheard
		tell(t.w.Connected, p)
	}
	if !identified {
		return
	}
	switch t.e.lists(p) {
	case listed:
		t.connected[p] = speaking
		tell(t.w.Speaks, p)
	case unlisted:
		if said != silent {
			t.connected[p] = silent
			tell(t.w.Silent, p)
		}
	case unknown: // identify failed, which says nothing about the protocol
	}
}

func tell(f func(peer.ID), p peer.ID) {
	if f != nil {
		f(p)
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}
