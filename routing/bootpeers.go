package routing

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// askSoon and askRarely are how long Config.BootstrapPeersFunc is not called
	// again: with none of the peers it named connected, and with one.
	askSoon   = 5 * time.Second
	askRarely = time.Minute
	// askPatience is how long a call of it is waited for at a time.
	askPatience = time.Second
)

// bootPeers are the peers to begin with: those given, and those that the
// program's function has named when it was last called.
//
// Invariant: one goroutine calls the function, and nothing but that goroutine
// waits for it; everybody else sees what it returned last.
type bootPeers struct {
	self  peer.ID
	given []peer.AddrInfo
	more  func() []peer.AddrInfo // nil if not given
	named atomic.Pointer[[]peer.AddrInfo]
	attempts

	// What follows is the calling goroutine's.
	calling chan struct{} // closed when the call under way returns; nil if none is
	called  time.Time
}

func newBootPeers(self peer.ID, cfg *Config) *bootPeers {
	return &bootPeers{self: self, given: cfg.BootstrapPeers, more: cfg.BootstrapPeersFunc}
}

// known returns the peers to begin with, as far as they are known, without
// ourselves.
func (b *bootPeers) known() []peer.AddrInfo {
	peers := slices.Clone(b.given)
	if named := b.named.Load(); named != nil {
		peers = append(peers, *named...)
	}
	return slices.DeleteFunc(peers, func(p peer.AddrInfo) bool { return p.ID == b.self || p.ID.Validate() != nil })
}

// pending reports that the function has not returned for the first time yet.
func (b *bootPeers) pending() bool { return b.more != nil && b.named.Load() == nil }

// renew calls the function if it is time to, and waits askPatience for it. When
// it has returned, then or later, changed is called.
func (b *bootPeers) renew(connected func(peer.ID) bool, changed func()) {
	if b.more == nil {
		return
	}
	if b.calling == nil {
		if !b.due(time.Now(), connected) {
			return
		}
		calling := make(chan struct{})
		b.calling, b.called = calling, time.Now()
		go func() {
			defer close(calling)
			named := b.ask()
			b.named.Store(&named)
			changed()
		}()
	}
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	select {
	case <-b.calling:
		b.calling = nil
	case <-patience.C:
	}
}

// ask calls the function; one that panics names nobody.
func (b *bootPeers) ask() (named []peer.AddrInfo) {
	defer func() {
		if recover() != nil {
			named = nil
		}
	}()
	return slices.Clone(b.more())
}

func (b *bootPeers) due(now time.Time, connected func(peer.ID) bool) bool {
	named := b.named.Load()
	if named == nil {
		return true
	}
	pause := askSoon
	if slices.ContainsFunc(*named, func(p peer.AddrInfo) bool { return connected(p.ID) }) {
		pause = askRarely
	}
	return now.Sub(b.called) >= pause
}
