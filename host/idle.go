package host

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Saver is a Transport that can give up connections nobody needs; an Endpoint is one.
type Saver interface {
	// CloseIdle closes connections that were dialed for an Open or Connect of this
	// transport and have carried nothing of it for as long as idle, unless anybody else
	// on the host has a use for them: a stream, a tag or a protection other than Rank's.
	// Those to peers of whom keep says so stay, but of two to one peer, one dialed by either side, the one
	// goes that the peer of the greater id has dialed.
	CloseIdle(idle time.Duration, keep func(peer.ID) bool)
}

// dialed are the peers that the endpoint has dialed, and when something was last
// said to or by each.
//
// Invariant: whoever is in it was connected when it was put in; CloseIdle takes out those
// who are so no longer.
type dialed struct {
	mu   sync.Mutex
	used map[peer.ID]time.Time
}

// made notes that p has just been dialed.
func (d *dialed) made(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used == nil {
		d.used = make(map[peer.ID]time.Time)
	}
	d.used[p] = time.Now()
}

// touch notes that there is something to say to p, if it is one of those dialed.
func (d *dialed) touch(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ours := d.used[p]; ours {
		d.used[p] = time.Now()
	}
}

// idle returns those to whom nothing has been said since an instant, and forgets who
// is not there.
func (d *dialed) idle(since time.Time, there func(peer.ID) bool) (idle []peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p, last := range d.used {
		switch {
		case !there(p):
			delete(d.used, p)
		case !last.After(since):
			idle = append(idle, p)
		}
	}
	return idle
}

// still reports whether nothing has been said to p since then.
func (d *dialed) still(p peer.ID, since time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.used[p].After(since)
}

// CloseIdle implements Saver.
func (e *Endpoint) CloseIdle(idle time.Duration, keep func(peer.ID) bool) {
	since := time.Now().Add(-idle)
	for _, p := range e.dialed.idle(since, e.Connected) {
		conns := e.host.Network().ConnsToPeer(p)
		twice := e.host.ID() > p && among(conns, network.DirInbound)
		if !twice && (keep(p) || e.wanted(p)) || !e.dialed.still(p, since) {
			continue
		}
		for _, c := range conns {
			if stat := c.Stat(); stat.Direction == network.DirOutbound && !stat.Limited && len(c.GetStreams()) == 0 {
				go c.Close() // it may wait for the peer
			}
		}
	}
}

// among reports whether a direct connection of that direction is among conns.
func among(conns []network.Conn, d network.Direction) bool {
	for _, c := range conns {
		if stat := c.Stat(); stat.Direction == d && !stat.Limited {
			return true
		}
	}
	return false
}

// wanted reports whether anybody on the host but this endpoint has said that a
// connection to p is worth something.
func (e *Endpoint) wanted(p peer.ID) bool {
	e.ranking.Lock()
	defer e.ranking.Unlock()
	conns, own := e.host.ConnManager(), string(e.cfg.Protocol)
	if conns.IsProtected(p, own) {
		// Only taking back our own protection, for a moment, tells of others.
		others := conns.Unprotect(p, own)
		if conns.Protect(p, own); others {
			return true
		}
	} else if conns.IsProtected(p, "") {
		return true
	}
	if info := conns.GetTagInfo(p); info != nil {
		for tag := range info.Tags {
			if tag != own {
				return true
			}
		}
	}
	return false
}
