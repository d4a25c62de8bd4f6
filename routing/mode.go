package routing

import (
	"fmt"
	"sync"
	"time"

	"github.com/kdht/kdht/host"
	corenetwork "github.com/libp2p/go-libp2p/core/network"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// Mode says whether a peer serves others or only asks them (wire.md §11).
type Mode int

const (
	// ModeServer serves always: what the nodes of a private network do. It is the
	// zero value.
	ModeServer Mode = iota
	// ModeClient never serves; others do not take the peer into their tables.
	ModeClient
	// ModeAuto serves while libp2p finds that the peer can be reached from the
	// outside, and begins as a client. Reachability that comes and goes is not followed
	// each time: see Serving.ModeDelay.
	ModeAuto
	// ModeAutoServer is ModeAuto, except that it serves until libp2p finds that
	// the peer cannot be reached.
	ModeAutoServer
)

// String returns the mode's name as it is written in flags.
func (m Mode) String() string {
	switch m {
	case ModeServer:
		return "server"
	case ModeClient:
		return "client"
	case ModeAuto:
		return "auto"
	case ModeAutoServer:
		return "auto-server"
	}
	return "unknown"
}

// serves says whether a peer of mode m serves at reachability r, and why.
func (m Mode) serves(r corenetwork.Reachability) (bool, string) {
	switch m {
	case ModeServer:
		return true, "set to server"
	case ModeClient:
		return false, "set to client"
	}
	switch r {
	case corenetwork.ReachabilityPublic:
		return true, "reachable from outside"
	case corenetwork.ReachabilityPrivate:
		return false, "not reachable from outside"
	}
	return m == ModeAutoServer, "reachability not known yet"
}

// role is whether we serve just now. What reachability asks for is followed when it
// has asked for it without a break for as long as steadiness says: others take a
// server into their tables, dial it for hours, and learn late that it has become a
// client.
type role struct {
	transport host.Transport
	handlers  map[coreprotocol.ID]host.FrameHandler
	mode      Mode

	mu      sync.Mutex // guards all below
	steady  steadiness
	pending *time.Timer // nil if nothing is to change
	coming  string      // what is, if something is
	serving bool
	reason  string
}

// begin makes us serve, or not, as the mode says while reachability is not known.
func (r *role) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	serve, reason := r.mode.serves(corenetwork.ReachabilityUnknown)
	return r.turn(serve, reason)
}

// follow takes in that reachability has changed.
func (r *role) follow(reachability corenetwork.Reachability) {
	r.mu.Lock()
	defer r.mu.Unlock()
	serve, reason := r.mode.serves(reachability)
	if r.pending != nil && serve != r.serving {
		return // it is being waited for already
	}
	r.stay()
	hold := r.steady.hold(time.Now())
	if serve == r.serving || hold <= 0 {
		_ = r.turn(serve, reason)
		return
	}
	r.coming = fmt.Sprintf("%s, becomes a %s if that holds for %v", reason, word(serve), hold)
	r.later(hold, serve, reason)
}

// stay calls off what is to change. The caller has locked r.
func (r *role) stay() {
	if r.pending != nil {
		r.pending.Stop()
		r.pending = nil
	}
}

// later makes us serve or not unless something else is asked for before. The caller
// has locked r.
func (r *role) later(hold time.Duration, serve bool, reason string) {
	var timer *time.Timer
	timer = time.AfterFunc(hold, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.pending == timer {
			r.pending = nil
			_ = r.turn(serve, reason)
			r.steady.changed(time.Now())
		}
	})
	r.pending = timer
}

// turn makes us serve or not. If we cannot, the reason says why, and so does the
// error. The caller has locked r.
func (r *role) turn(serve bool, reason string) error {
	r.reason = reason
	if serve == r.serving {
		return nil
	}
	if serve {
		if err := r.transport.Serve(r.handlers); err != nil {
			r.reason = err.Error()
			return err
		}
	} else {
		r.transport.StopServing()
	}
	r.serving = serve
	return nil
}

// end makes sure that nothing changes any more. Nobody may call follow after it.
func (r *role) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stay()
}

// now returns ModeServer or ModeClient, and why it is so.
func (r *role) now() (Mode, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, reason := ModeClient, r.reason
	if r.serving {
		m = ModeServer
	}
	if r.pending != nil {
		reason += "; " + r.coming
	}
	return m, reason
}

func word(serve bool) string {
	if serve {
		return "server"
	}
	return "client"
}

// What steadiness begins with, the most it asks for, and after how long without a
// change it has forgotten those there were.
const (
	firstHold = 15 * time.Second
	longHold  = 10 * time.Minute
	calm      = time.Hour
)

// steadiness is how long reachability must ask for another role until we take it:
// first at the beginning, twice as long with each change that follows within an hour
// of the one before.
type steadiness struct {
	first time.Duration // below zero: there is nothing to wait for
	next  time.Duration
	last  time.Time // when the role changed last
}

// hold returns how long the role is to be held.
func (s *steadiness) hold(now time.Time) time.Duration {
	if now.Sub(s.last) >= calm {
		return s.first
	}
	return s.next
}

// changed notes that the role has changed.
func (s *steadiness) changed(now time.Time) {
	s.next, s.last = min(2*s.hold(now), longHold), now
}
