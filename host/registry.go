package host

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// peerBuffered is what one peer may have in unfinished large frames, unless it
// is a single frame (reliability.md P4).
const peerBuffered = 1 << 20

// registry knows all inbound streams and keeps them within their bounds. When
// there are many it prefers new streams to waiting ones and peers with few
// streams to peers with many, so that idle streams never lock anyone out
// (reliability.md T7, P3).
type registry struct {
	perPeer, total, maxBuffered int // bounds

	pressed atomic.Bool    // more than 80 % of total
	running sync.WaitGroup // streams between add and leave

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

func newRegistry(cfg Config) *registry {
	return &registry{
		perPeer: cfg.MaxInboundPerPeer, total: cfg.MaxInbound, maxBuffered: cfg.MaxBuffered,
		peers: make(map[peer.ID]*inboundPeer),
	}
}

// start lets streams in.
func (r *registry) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = true
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
			if (proto == "" || in.proto == proto) && in.kicked() == nil {
				in.state.Store(stopped)
				sent = append(sent, in)
			}
		}
	}
	r.mu.Unlock()
	for _, in := range sent {
		in.kick()
	}
}

// add registers a stream, which then must leave, or says why it must be reset. A
// stream that has to give way to it is kicked.
func (r *registry) add(in *inbound) error {
	r.mu.Lock()
	loser, err := r.admit(in)
	r.mu.Unlock()
	if loser != nil {
		loser.kick()
	}
	return err
}

func (r *registry) admit(in *inbound) (loser *inbound, err error) {
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
	r.running.Add(1)
	return loser, nil
}

func (r *registry) underPressure() bool { return r.count > r.total/5*4 }

// greediest returns the peer with most streams of those that have more than
// floor and one of them waiting; among equals the one that waits longest. It may
// be nil.
func (r *registry) greediest(floor int) *inboundPeer {
	var found *inboundPeer
	var foundSince int64
	for _, p := range r.peers {
		n := len(p.streams)
		if n <= floor || found != nil && n < len(found.streams) {
			continue
		}
		in, since := p.longestWaiting()
		if in == nil || found != nil && n == len(found.streams) && since >= foundSince {
			continue
		}
		found, foundSince = p, since
	}
	return found
}

// longestWaiting returns the stream that has waited longest, and since when.
func (p *inboundPeer) longestWaiting() (found *inbound, since int64) {
	for in := range p.streams {
		if s := in.state.Load(); s > busy && (found == nil || s < since) {
			found, since = in, s
		}
	}
	return found, since
}

// oust takes the longest waiting stream of p out of the registry and returns it
// for kicking; nil if p is nil or none is waiting.
func (r *registry) oust(p *inboundPeer) *inbound {
	if p == nil {
		return nil
	}
	for range len(p.streams) { // each that has become busy meanwhile costs a round
		in, since := p.longestWaiting()
		if in == nil {
			return nil
		}
		if in.state.CompareAndSwap(since, gaveWay) {
			r.remove(in)
			return in
		}
	}
	return nil
}

// leave forgets a stream whose goroutine is done with it.
func (r *registry) leave(in *inbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(in)
	r.running.Done()
}

// remove takes a stream out, if it still is in.
func (r *registry) remove(in *inbound) {
	p := r.peerOf(in)
	if p == nil {
		return
	}
	r.grant(p, in, 0)
	delete(p.streams, in)
	if len(p.streams) == 0 {
		delete(r.peers, in.peer)
	}
	r.count--
	r.pressed.Store(r.underPressure())
}

// peerOf returns the entry that a stream is in, or nil.
func (r *registry) peerOf(in *inbound) *inboundPeer {
	p := r.peers[in.peer]
	if p == nil {
		return nil
	}
	if _, ok := p.streams[in]; !ok {
		return nil
	}
	return p
}

// buffer grants a stream n bytes in all for the frame it is receiving. It never
// refuses less than was granted before.
func (r *registry) buffer(in *inbound, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peerOf(in)
	if p == nil {
		return errGaveWay
	}
	others := p.buffered - in.buffered
	if n > in.buffered && (others > 0 && others+n > peerBuffered || r.buffered-in.buffered+n > r.maxBuffered) {
		return errBuffered
	}
	r.grant(p, in, n)
	return nil
}

func (r *registry) grant(p *inboundPeer, in *inbound, n int) {
	p.buffered += n - in.buffered
	r.buffered += n - in.buffered
	in.buffered = n
}
