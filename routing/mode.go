package routing

import (
	"sync"

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
	// outside, and begins as a client.
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

// role is whether we serve just now.
type role struct {
	transport host.Transport
	handlers  map[coreprotocol.ID]host.FrameHandler
	mode      Mode

	mu      sync.Mutex
	serving bool
	reason  string
}

// set makes us serve, or not, as reachability r asks for. If we cannot serve, the
// reason says why, and so does the error.
func (r *role) set(reachability corenetwork.Reachability) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	serve, reason := r.mode.serves(reachability)
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

// now returns ModeServer or ModeClient, and why it is so.
func (r *role) now() (Mode, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.serving {
		return ModeServer, r.reason
	}
	return ModeClient, r.reason
}
