package host

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Why an inbound stream is turned away or ended by this side, other than for
// what was in it.
var (
	errStopped  = errors.New("serving has stopped")
	errFull     = errors.New("too many inbound streams")
	errGaveWay  = errors.New("idle stream gave way to a new one")
	errBuffered = errors.New("too many bytes of unfinished frames")
)

// peerBuffered is what one peer may have in unfinished large frames, unless it
// is a single frame (reliability.md P4).
const peerBuffered = 1 << 20

// inbound is one stream being served. Its goroutine alone reads, writes and
// resets it; others send it away by kick.
type inbound struct {
	stream network.Stream
	proto  protocol.ID
	peer   peer.ID
	gone   chan struct{} // closed by kick

	// since is the instant (Unix nanoseconds) from which the stream has waited for
	// a whole frame, busy while one is handled, sentAway after kick.
	since atomic.Int64
	// buffered is what registry has granted for the frame being received.
	buffered int
}

const (
	busy     int64 = 0
	sentAway int64 = -1
)

// kick ends the stream: whatever its goroutine waits for fails at once, and the
// goroutine resets the stream. It never blocks.
func (in *inbound) kick() {
	close(in.gone)
	_ = in.stream.SetDeadline(time.Unix(1, 0))
}

// idle marks the stream as waiting for a frame; false means it was sent away.
func (in *inbound) idle(now time.Time) bool {
	return in.since.CompareAndSwap(busy, now.UnixNano())
}

// begin marks the stream as handling a frame; false means it was sent away.
func (in *inbound) begin() bool {
	since := in.since.Load()
	return since != sentAway && in.since.CompareAndSwap(since, busy)
}

// registry knows all inbound streams and keeps them within their bounds. When
// there are many it prefers new streams to idle ones and peers with few streams
// to peers with many, so that idle streams never lock anyone out
// (reliability.md T7, P3).
type registry struct {
	perPeer, total int // bounds
	maxBuffered    int
	pressed        atomic.Bool // more than 80 % of total

	mu       sync.Mutex
	open     bool
	peers    map[peer.ID]*inboundPeer
	count    int
	buffered int
}

type inboundPeer struct {
	streams  map[*inbound]struct{}
	buffered int
}

// start lets streams in.
func (r *registry) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = true
}

// add registers in, or says why it must be reset. A stream that has to give way
// to it is kicked.
func (r *registry) add(in *inbound) error {
	r.mu.Lock()
	loser, err := r.addLocked(in)
	r.mu.Unlock()
	if loser != nil {
		loser.kick()
	}
	return err
}

func (r *registry) addLocked(in *inbound) (loser *inbound, err error) {
	if !r.open {
		return nil, errStopped
	}
	p := r.peers[in.peer]
	if p == nil {
		p = &inboundPeer{streams: make(map[*inbound]struct{})}
	}
	limit, pressed := r.perPeer, r.underPressure()
	if pressed {
		limit = (limit + 1) / 2
	}
	switch {
	case len(p.streams) >= limit:
		if loser = r.oust(p); loser == nil {
			return nil, errFull
		}
	case r.count >= r.total:
		if loser = r.oust(r.greediest(0)); loser == nil {
			return nil, errFull
		}
	case pressed:
		// Early, so that a peer with one stream does not have to go.
		loser = r.oust(r.greediest(max(1, len(p.streams))))
	}
	p.streams[in] = struct{}{}
	r.peers[in.peer] = p
	r.count++
	r.pressed.Store(r.underPressure())
	return loser, nil
}

func (r *registry) underPressure() bool { return r.count > r.total/5*4 }

// greediest returns the peer with most streams of those that have more than
// floor and one of them idle; among equals the one idle longest. It may be nil.
func (r *registry) greediest(floor int) *inboundPeer {
	var found *inboundPeer
	var foundSince int64
	for _, p := range r.peers {
		n := len(p.streams)
		if n <= floor || found != nil && n < len(found.streams) {
			continue
		}
		_, since := p.longestIdle()
		if since == busy || found != nil && n == len(found.streams) && since >= foundSince {
			continue
		}
		found, foundSince = p, since
	}
	return found
}

// longestIdle returns the stream that has waited longest, or busy if none waits.
func (p *inboundPeer) longestIdle() (found *inbound, since int64) {
	for in := range p.streams {
		if s := in.since.Load(); s > busy && (found == nil || s < since) {
			found, since = in, s
		}
	}
	return found, since
}

// oust takes the longest idle stream of p out of the registry and returns it for
// kicking; nil if p is nil or none is idle.
func (r *registry) oust(p *inboundPeer) *inbound {
	if p == nil {
		return nil
	}
	in, since := p.longestIdle()
	if in == nil || !in.since.CompareAndSwap(since, sentAway) {
		return nil
	}
	r.removeLocked(in)
	return in
}

// remove forgets a stream. It may have been forgotten before.
func (r *registry) remove(in *inbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeLocked(in)
}

func (r *registry) removeLocked(in *inbound) {
	p := r.peers[in.peer]
	if p == nil {
		return
	}
	if _, ok := p.streams[in]; !ok {
		return
	}
	r.bufferLocked(p, in, 0)
	delete(p.streams, in)
	if len(p.streams) == 0 {
		delete(r.peers, in.peer)
	}
	r.count--
	r.pressed.Store(r.underPressure())
}

// buffer grants a stream n bytes in all for the frame it is receiving.
func (r *registry) buffer(in *inbound, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[in.peer]
	if p == nil {
		return errGaveWay
	}
	if _, ok := p.streams[in]; !ok {
		return errGaveWay
	}
	if more := n - in.buffered; more > 0 {
		others := p.buffered - in.buffered
		if others > 0 && others+n > peerBuffered || r.buffered+more > r.maxBuffered {
			return errBuffered
		}
	}
	r.bufferLocked(p, in, n)
	return nil
}

func (r *registry) bufferLocked(p *inboundPeer, in *inbound, n int) {
	p.buffered += n - in.buffered
	r.buffered += n - in.buffered
	in.buffered = n
}

// stop sends away every stream of a protocol, or of all if it is empty, and then
// lets none in until start.
func (r *registry) stop(proto protocol.ID) {
	var sent []*inbound
	r.mu.Lock()
	if proto == "" {
		r.open = false
	}
	for _, p := range r.peers {
		for in := range p.streams {
			if (proto == "" || in.proto == proto) && in.since.Swap(sentAway) != sentAway {
				sent = append(sent, in)
			}
		}
	}
	r.mu.Unlock()
	for _, in := range sent {
		in.kick()
	}
}
