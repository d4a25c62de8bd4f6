package host

import (
	"container/list"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// streamPool owns all outbound streams: those in use and the idle ones kept for
// the next request. Its invariant: a peer has at most MaxStreamsPerPeer slots and
// all peers together MaxStreams; every stream, idle or in use, and every attempt
// to open one holds exactly one slot. Streams are opened, closed and reset
// outside its lock.
type streamPool struct {
	cfg  Config
	open func(context.Context, peer.ID) (*outbound, error)

	mu     sync.Mutex
	peers  map[peer.ID]*peerStreams
	used   map[*outbound]struct{}
	idle   list.List // of *outbound, longest idle first
	slots  int
	reaper *time.Timer // set while idle is not empty
	closed bool
}

type peerStreams struct {
	slots   int
	idle    []*outbound // longest idle first
	waiting []*waiter   // longest waiting first
}

// waiter is an Open that waits for a slot of its peer. Exactly one grant is sent
// to it unless it leaves.
type waiter struct {
	fresh bool
	grant chan grant
}

// grant is a slot, with an idle stream in it or empty, or the end of the pool.
type grant struct {
	stream *outbound
	err    error
}

func newStreamPool(cfg Config, open func(context.Context, peer.ID) (*outbound, error)) *streamPool {
	return &streamPool{cfg: cfg, open: open, peers: make(map[peer.ID]*peerStreams), used: make(map[*outbound]struct{})}
}

// get returns a stream to id: an idle one unless fresh, else a new one, after
// waiting for a slot if need be.
func (p *streamPool) get(ctx context.Context, id peer.ID, fresh bool) (o *outbound, reused bool, err error) {
	o, wait, err := p.take(id, fresh)
	if wait != nil {
		o, err = p.await(ctx, id, wait)
	}
	if err != nil {
		return nil, false, err
	}
	if o != nil {
		return o, true, nil
	}
	o, err = p.open(ctx, id)
	if err != nil {
		p.free(id)
		return nil, false, err
	}
	o.peer = id
	if !p.use(o) {
		o.reset()
		return nil, false, ErrClosed
	}
	return o, false, nil
}

// take gives an idle stream, or else an empty slot (nothing), or else a place in
// the queue.
func (p *streamPool) take(id peer.ID, fresh bool) (*outbound, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	ps := p.peers[id]
	if ps == nil {
		ps = &peerStreams{}
		p.peers[id] = ps
	}
	for len(ps.idle) > 0 && !fresh {
		o := ps.idle[len(ps.idle)-1]
		if o.stream.Conn().IsClosed() {
			p.evict(o) // drop has not got to it yet
			continue
		}
		p.unidle(ps, o)
		p.used[o] = struct{}{}
		return o, nil, nil
	}
	switch {
	case ps.slots < p.cfg.MaxStreamsPerPeer && p.slots < p.cfg.MaxStreams:
	case ps.slots >= p.cfg.MaxStreamsPerPeer && len(ps.idle) > 0:
		p.evict(ps.idle[0])
	case ps.slots >= p.cfg.MaxStreamsPerPeer:
		w := &waiter{fresh: fresh, grant: make(chan grant, 1)}
		ps.waiting = append(ps.waiting, w)
		return nil, w, nil
	case p.idle.Len() > 0:
		p.evict(p.idle.Front().Value.(*outbound))
	default:
		p.forget(id, ps)
		return nil, nil, fmt.Errorf("%w: all %d are in use", ErrTooManyStreams, p.cfg.MaxStreams)
	}
	ps.slots++
	p.slots++
	p.peers[id] = ps // evict may have forgotten it
	return nil, nil, nil
}

// await waits for a grant; with no stream in it, it is an empty slot.
func (p *streamPool) await(ctx context.Context, id peer.ID, w *waiter) (*outbound, error) {
	select {
	case g := <-w.grant:
		return g.stream, g.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if ps := p.peers[id]; ps != nil {
		if i := slices.Index(ps.waiting, w); i >= 0 {
			ps.waiting = slices.Delete(ps.waiting, i, i+1)
		}
	}
	p.mu.Unlock()
	select {
	case g := <-w.grant: // granted meanwhile: pass it on
		if g.stream != nil {
			p.put(g.stream)
		} else if g.err == nil {
			p.free(id)
		}
	default:
	}
	return nil, fmt.Errorf("%w: the peer's %d stayed in use: %w", ErrTooManyStreams, p.cfg.MaxStreamsPerPeer, ctx.Err())
}

// use enters a new stream into the books; false if the pool is closed.
func (p *streamPool) use(o *outbound) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.used[o] = struct{}{}
	return true
}

// put takes back a healthy stream: for a waiter, else to be idle. One that
// nobody has use for ends in peace.
func (p *streamPool) put(o *outbound) {
	if !p.offer(o) {
		o.close()
		p.vacate(o)
	}
}

// offer reports whether somebody has or may have use for the stream.
func (p *streamPool) offer(o *outbound) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ps := p.peers[o.peer]
	if p.closed || o.stream.Conn().IsClosed() {
		return false
	}
	if len(ps.waiting) > 0 {
		w := ps.waiting[0]
		if w.fresh {
			return false // put hands it the slot
		}
		ps.waiting = slices.Delete(ps.waiting, 0, 1)
		w.grant <- grant{stream: o}
		return true
	}
	delete(p.used, o)
	o.since = time.Now()
	ps.idle = append(ps.idle, o)
	o.place = p.idle.PushBack(o)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.cfg.ReuseTimeout, p.reap)
	}
	return true
}

// discard aborts a stream that was in use and frees its slot. It may be called
// while another goroutine reads or writes, so it looks at nothing of theirs.
func (p *streamPool) discard(o *outbound) {
	o.reset()
	p.vacate(o)
}

// vacate frees the slot of a stream that was in use and has ended.
func (p *streamPool) vacate(o *outbound) {
	p.mu.Lock()
	delete(p.used, o)
	p.mu.Unlock()
	p.free(o.peer)
}

// free gives a slot to the next waiter of the peer, or nobody.
func (p *streamPool) free(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ps := p.peers[id]
	if ps == nil || p.closed {
		return
	}
	if len(ps.waiting) > 0 {
		w := ps.waiting[0]
		ps.waiting = slices.Delete(ps.waiting, 0, 1)
		w.grant <- grant{}
		return
	}
	ps.slots--
	p.slots--
	p.forget(id, ps)
}

// forget drops the entry of a peer that has nothing.
func (p *streamPool) forget(id peer.ID, ps *peerStreams) {
	if ps.slots == 0 && len(ps.waiting) == 0 {
		delete(p.peers, id)
	}
}

// evict ends an idle stream and frees its slot; p.mu is held.
func (p *streamPool) evict(o *outbound) {
	ps := p.peers[o.peer]
	p.unidle(ps, o)
	ps.slots--
	p.slots--
	p.forget(o.peer, ps)
	go o.close() // may wait for the peer's connection, and the caller holds the lock
}

// unidle takes a stream out of both idle lists; p.mu is held.
func (p *streamPool) unidle(ps *peerStreams, o *outbound) {
	p.idle.Remove(o.place)
	o.place = nil
	i := slices.Index(ps.idle, o)
	ps.idle = slices.Delete(ps.idle, i, i+1)
}

// drop ends the idle streams of a connection that is gone.
func (p *streamPool) drop(c network.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ps := p.peers[c.RemotePeer()]
	if ps == nil {
		return
	}
	for _, o := range slices.Clone(ps.idle) {
		if o.stream.Conn() == c {
			p.evict(o)
		}
	}
}

// reap ends streams that have been idle too long and sets the timer for the next.
func (p *streamPool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaper = nil
	for p.idle.Len() > 0 && !p.closed {
		o := p.idle.Front().Value.(*outbound)
		if left := time.Until(o.since.Add(p.cfg.ReuseTimeout)); left > 0 {
			p.reaper = time.AfterFunc(left, p.reap)
			return
		}
		p.evict(o)
	}
}

// close ends all streams and all waiting.
func (p *streamPool) close() {
	p.mu.Lock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	streams := make([]*outbound, 0, len(p.used)+p.idle.Len())
	for o := range p.used {
		streams = append(streams, o)
	}
	for e := p.idle.Front(); e != nil; e = e.Next() {
		streams = append(streams, e.Value.(*outbound))
	}
	for _, ps := range p.peers {
		for _, w := range ps.waiting {
			w.grant <- grant{err: ErrClosed}
		}
		ps.waiting = nil
	}
	p.mu.Unlock()
	for _, o := range streams {
		o.reset()
	}
}
