package host

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// peerBuffered is what one peer may have in unfinished large frames, unless it
// is a single frame (reliability.md P4).
const peerBuffered = 1 << 20

// glance is about how many streams are looked at to find one that has to go, so
// that a flood of new streams costs the same whatever the number of old ones.
const glance = 256

// registry knows all inbound streams and keeps them within their bounds. When
// there are many it prefers new streams to waiting ones and peers with few
// streams to peers with many, so that idle streams never lock anyone out
// (reliability.md T7, P3).
type registry struct {
	perPeer, total, maxBuffered int // bounds

	pressed atomic.Bool    // more than 80 % of total or maxBuffered
	running sync.WaitGroup // streams between add and leave

	mu       sync.Mutex
	open     bool
	peers    map[peer.ID]*inboundPeer
	bySize   []map[*inboundPeer]struct{} // peers by their number of streams
	count    int
	buffered int
}

type inboundPeer struct {
	streams  map[*inbound]struct{}
	buffered int
}

func newRegistry(cfg Config) *registry {
	r := &registry{
		perPeer: cfg.MaxInboundPerPeer, total: cfg.MaxInbound, maxBuffered: cfg.MaxBuffered,
		peers:  make(map[peer.ID]*inboundPeer),
		bySize: make([]map[*inboundPeer]struct{}, cfg.MaxInboundPerPeer+1),
	}
	for i := range r.bySize {
		r.bySize[i] = make(map[*inboundPeer]struct{})
	}
	return r
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
		sent = append(sent, p.dismiss(stopped, func(in *inbound) bool { return proto == "" || in.proto == proto })...)
	}
	r.mu.Unlock()
	for _, in := range sent {
		in.kick()
	}
}

// drop sends away the streams of a connection that has ended. What a paused one has
// not read would be held until its pause is over (reliability.md P5).
func (r *registry) drop(c network.Conn) {
	var sent []*inbound
	r.mu.Lock()
	if p := r.peers[c.RemotePeer()]; p != nil {
		sent = p.dismiss(lost, func(in *inbound) bool { return in.stream.Conn() == c })
	}
	r.mu.Unlock()
	for _, in := range sent {
		in.kick()
	}
}

// dismiss notes why streams have to go, those of them that have not been sent away
// before, and returns them for kicking.
func (p *inboundPeer) dismiss(why int64, which func(*inbound) bool) (sent []*inbound) {
	for in := range p.streams {
		if which(in) && in.kicked() == nil {
			in.state.Store(why)
			sent = append(sent, in)
		}
	}
	return sent
}

// handlerPatience is how long wait waits for handlers that are running.
const handlerPatience = 5 * time.Second

// wait returns when no stream is being served any more, or after handlerPatience
// with an error that names one whose handler is still running. It is for after
// stop.
func (r *registry) wait() error {
	over := make(chan struct{})
	go func() { defer close(over); r.running.Wait() }()
	patience := time.NewTimer(handlerPatience)
	defer patience.Stop()
	select {
	case <-over:
		return nil
	case <-patience.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, p := range r.peers {
		for in := range p.streams {
			return fmt.Errorf("host: %d request handlers have not returned %v after the end of serving, one of them with a request of %s over %s:"+
				" a hook, filter, validator or store that was given blocks", r.count, handlerPatience, id, in.proto)
		}
	}
	return nil
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
	limit, crowded := r.perPeer, r.crowded()
	if crowded {
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
	case crowded:
		// Early, so that a peer with one stream does not have to go.
		loser = r.oust(r.greediest(max(1, len(p.streams))))
	}
	if len(p.streams) == 0 {
		r.peers[in.peer] = p // again, if its only stream had to go
	}
	r.resize(p, func() { p.streams[in] = struct{}{} })
	r.running.Add(1)
	return loser, nil
}

// resize changes a peer's streams and keeps the books about their number.
func (r *registry) resize(p *inboundPeer, change func()) {
	before := len(p.streams)
	delete(r.bySize[before], p)
	change()
	after := len(p.streams)
	if after > 0 {
		r.bySize[after][p] = struct{}{}
	}
	r.count += after - before
	r.weigh()
}

func (r *registry) crowded() bool { return r.count > r.total/5*4 }

// weigh notes whether there is pressure.
func (r *registry) weigh() { r.pressed.Store(r.crowded() || r.buffered > r.maxBuffered/5*4) }

// greediest returns the peer with most streams of those that have more than
// floor and one of them waiting; among equals the one that waits longest, as far
// as a glance shows. It may be nil.
func (r *registry) greediest(floor int) *inboundPeer {
	seen := 0
	for n := r.perPeer; n > floor; n-- {
		var found *inboundPeer
		var foundSince int64
		for p := range r.bySize[n] {
			if in, since := p.longestWaiting(); in != nil && (found == nil || since < foundSince) {
				found, foundSince = p, since
			}
			if seen += n; seen > glance {
				break
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
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
	r.resize(p, func() { delete(p.streams, in) })
	if len(p.streams) == 0 {
		delete(r.peers, in.peer)
	}
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
	r.weigh()
}
