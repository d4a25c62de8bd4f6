package routing

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/libp2p/go-libp2p/core/crypto"
	corenetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// world is a network in memory: transports that hand frames to each other's
// handlers, after a delay by the test's clock. It lives in a synctest bubble.
type world struct {
	t testing.TB

	mu    sync.Mutex
	peers map[peer.ID]*fake
	sent  []request
}

// request is one frame that has left a peer.
type request struct {
	from, to peer.ID
	kind     protocol.Type
}

func newWorld(t testing.TB) *world { return &world{t: t, peers: make(map[peer.ID]*fake)} }

// fake is one peer of a world: a host.Transport.
type fake struct {
	world *world
	id    peer.ID
	addr  multiaddr.Multiaddr
	key   crypto.PubKey

	// The world's lock guards what follows.
	handlers  map[coreprotocol.ID]host.FrameHandler
	connected map[peer.ID]bool
	addrs     map[peer.ID][]multiaddr.Multiaddr
	watchers  map[*watching]bool
	down      bool          // cannot be dialled, and its connections are gone
	mute      bool          // takes requests and never answers
	lag       time.Duration // before each answer
	hideKey   bool          // the key book does not know it
	closed    bool
}

// watching delivers a fake's events on one goroutine, as hosts do.
type watching struct {
	events chan func(host.Watcher)
	done   chan struct{}
}

// add makes a peer that runs nothing yet.
func (w *world) add() *fake {
	_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.addWithKey(pub)
}

func (w *world) addWithKey(pub crypto.PubKey) *fake {
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.addPeer(id, pub)
}

func (w *world) addPeer(id peer.ID, pub crypto.PubKey) *fake {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &fake{
		world: w, id: id, key: pub, addr: multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 1000+len(w.peers))),
		connected: make(map[peer.ID]bool), addrs: make(map[peer.ID][]multiaddr.Multiaddr), watchers: make(map[*watching]bool),
	}
	w.peers[id] = f
	return f
}

// start runs a DHT on a new peer; it is closed at the end of the bubble.
func (w *world) start(cfg Config) (*DHT, *fake) { return w.startOn(w.add(), cfg) }

func (w *world) startOn(f *fake, cfg Config) (*DHT, *fake) {
	d, err := newDHT(f, fakeStreams{f}, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = d.Close() })
	return d, f
}

// overlay runs n DHTs that know of the first, and waits until they are ready and,
// where their tables have room for all, know each other: two refreshes mostly do,
// but need not.
func (w *world) overlay(n int, cfg Config) ([]*DHT, []*fake) {
	w.t.Helper()
	dhts, fakes := make([]*DHT, n), make([]*fake, n)
	for i := range n {
		own := cfg
		if i > 0 {
			own.BootstrapPeers = append(own.BootstrapPeers, fakes[0].info())
		}
		dhts[i], fakes[i] = w.start(own)
	}
	for range 2 {
		for _, d := range dhts {
			if err := d.WaitReady(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			if err := d.Refresh(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for i := 0; n <= defaultK && i < 20*n; i++ {
		if d := dhts[i%n]; d.Stats().Table < n-1 {
			if err := d.Refresh(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return dhts, fakes
}

// requests returns what has been sent, of kind, since the last call.
func (w *world) requests(kind protocol.Type) (sent []request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.sent {
		if r.kind == kind {
			sent = append(sent, r)
		}
	}
	w.sent = nil
	return sent
}

// change sets something about f under the world's lock.
func (f *fake) change(set func(f *fake)) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	set(f)
}

// crash takes f off the network; revive lets others dial it again.
func (f *fake) crash() {
	f.change(func(f *fake) {
		f.down = true
		for id := range f.connected {
			f.disconnect(f.world.peers[id])
		}
	})
}

func (f *fake) revive() { f.change(func(f *fake) { f.down = false }) }

// connect and disconnect hold the world's lock.
func (f *fake) connect(to *fake) {
	if f.connected[to.id] {
		return
	}
	f.connected[to.id], to.connected[f.id] = true, true
	f.tell(func(w host.Watcher) { w.Connected(to.id) })
	to.tell(func(w host.Watcher) { w.Connected(f.id) })
	f.addrs[to.id], to.addrs[f.id] = []multiaddr.Multiaddr{to.addr}, []multiaddr.Multiaddr{f.addr}
	f.identify(to)
	to.identify(f)
}

func (f *fake) disconnect(to *fake) {
	delete(f.connected, to.id)
	delete(to.connected, f.id)
	f.tell(func(w host.Watcher) { w.Disconnected(to.id) })
	to.tell(func(w host.Watcher) { w.Disconnected(f.id) })
}

// identify tells f what to speaks.
func (f *fake) identify(to *fake) {
	if _, serves := to.handlers[DefaultProtocol]; serves {
		f.tell(func(w host.Watcher) { w.Speaks(to.id) })
	} else {
		f.tell(func(w host.Watcher) { w.Silent(to.id) })
	}
}

func (f *fake) tell(event func(host.Watcher)) {
	for w := range f.watchers {
		w.events <- event
	}
}

func (f *fake) info() peer.AddrInfo {
	return peer.AddrInfo{ID: f.id, Addrs: []multiaddr.Multiaddr{f.addr}}
}

// What follows implements host.Transport.

func (f *fake) ID() peer.ID { return f.id }

func (f *fake) Addrs() []multiaddr.Multiaddr { return []multiaddr.Multiaddr{f.addr} }

func (f *fake) PeerAddrs(p peer.ID) (addrs []multiaddr.Multiaddr) {
	f.change(func(f *fake) { addrs = slices.Clone(f.addrs[p]) })
	return addrs
}

func (f *fake) Remember(p peer.ID, addrs []multiaddr.Multiaddr, _ time.Duration) {
	f.change(func(f *fake) { f.addrs[p] = slices.Clone(addrs) })
}

func (f *fake) Connected(p peer.ID) (yes bool) {
	f.change(func(f *fake) { yes = f.connected[p] })
	return yes
}

func (f *fake) Connect(ctx context.Context, p peer.AddrInfo) error {
	if len(p.Addrs) > 0 {
		f.Remember(p.ID, p.Addrs, 0)
	}
	return second1(f.dial(ctx, p.ID))
}

func (f *fake) dial(ctx context.Context, id peer.ID) (to *fake, err error) {
	f.change(func(f *fake) {
		to = f.world.peers[id]
		switch {
		case f.closed:
			err = host.ErrClosed
		case f.connected[id]:
		case to == nil, to.down, f.down, len(f.addrs[id]) == 0, !f.addrs[id][0].Equal(to.addr):
			err = fmt.Errorf("%w: dial %s: connection refused", host.ErrUnreachable, id)
		default:
			f.connect(to)
		}
	})
	return to, errors.Join(err, ctx.Err())
}

func (f *fake) Open(context.Context, peer.ID, bool) (host.Stream, error) {
	return nil, errors.New("BUG: fakeStreams opens the streams")
}

func (f *fake) Serve(handlers map[coreprotocol.ID]host.FrameHandler) error {
	f.change(func(f *fake) { f.serve(maps.Clone(handlers)) })
	return nil
}

func (f *fake) StopServing() { f.change(func(f *fake) { f.serve(nil) }) }

// serve changes the handlers and lets those connected know.
func (f *fake) serve(handlers map[coreprotocol.ID]host.FrameHandler) {
	f.handlers = handlers
	for id := range f.connected {
		f.world.peers[id].identify(f)
	}
}

func (f *fake) Watch(w host.Watcher) (stop func(), err error) {
	watch := &watching{events: make(chan func(host.Watcher), 4096), done: make(chan struct{})}
	f.change(func(f *fake) {
		f.watchers[watch] = true
		for id := range f.connected {
			watch.events <- func(w host.Watcher) { w.Connected(id) }
			f.identify(f.world.peers[id])
		}
	})
	go func() {
		defer close(watch.done)
		for event := range watch.events {
			event(w)
		}
	}()
	return func() {
		f.change(func(f *fake) {
			if f.watchers[watch] {
				delete(f.watchers, watch)
				close(watch.events)
			}
		})
		<-watch.done
	}, nil
}

// reachable makes libp2p have found out about f's reachability.
func (f *fake) reachable(r corenetwork.Reachability) {
	f.change(func(f *fake) { f.tell(func(w host.Watcher) { w.Reachable(r) }) })
}

func (f *fake) PublicKey(p peer.ID) (key crypto.PubKey, err error) {
	f.change(func(f *fake) {
		if to := f.world.peers[p]; to != nil && !to.hideKey {
			key = to.key
		}
	})
	if key == nil {
		err = errors.New("no key known")
	}
	return key, err
}

func (f *fake) Close() error {
	f.crash()
	f.change(func(f *fake) { f.closed, f.handlers = true, nil })
	return nil
}

// fakeStreams opens a fake's streams.
type fakeStreams struct{ from *fake }

func (s fakeStreams) Open(ctx context.Context, to peer.ID, _ bool) (rpc.Stream, error) {
	dialed, err := s.from.dial(ctx, to)
	if err != nil {
		return nil, sentinel(err)
	}
	return &fakeStream{from: s.from, to: dialed, reset: make(chan struct{})}, nil
}

// now is a channel that can always be received from.
var now = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// fakeStream is one use of a stream: a request and perhaps an answer.
type fakeStream struct {
	from, to *fake
	frame    []byte
	deadline time.Time
	once     sync.Once
	reset    chan struct{}
}

func (s *fakeStream) WriteFrame(b []byte) error {
	s.frame = slices.Clone(b)
	kind, _ := protocol.Protobuf.Type(b)
	s.from.change(func(f *fake) { f.world.sent = append(f.world.sent, request{s.from.id, s.to.id, kind}) })
	return nil
}

// ReadFrame lets the other peer answer.
func (s *fakeStream) ReadFrame() ([]byte, error) {
	var handle host.FrameHandler
	var mute bool
	var lag time.Duration
	s.to.change(func(f *fake) { handle, mute, lag = f.handlers[DefaultProtocol], f.mute || f.down, f.lag })
	var arrival <-chan time.Time // a timer that is due at once upsets the race detector (golang/go#78156)
	switch {
	case mute: // never
	case lag > 0:
		arrival = time.After(lag)
	default:
		arrival = now
	}
	deadline := time.NewTimer(time.Until(s.deadline))
	defer deadline.Stop()
	select {
	case <-s.reset:
		return nil, corenetwork.ErrReset
	case <-deadline.C:
		return nil, os.ErrDeadlineExceeded
	case <-arrival:
	}
	if handle == nil {
		return nil, fmt.Errorf("%w: no such protocol", protocol.ErrUnsupported)
	}
	answer, _, err := handle(host.Sender{Peer: s.from.id}, s.frame, nil)
	switch {
	case err != nil:
		return nil, corenetwork.ErrReset
	case answer == nil:
		return nil, io.EOF
	}
	return answer, nil
}

func (s *fakeStream) CloseWrite() error             { return nil }
func (s *fakeStream) SetDeadline(t time.Time) error { s.deadline = t; return nil }
func (s *fakeStream) Reused() bool                  { return false }
func (s *fakeStream) Release()                      {}
func (s *fakeStream) Reset()                        { s.once.Do(func() { close(s.reset) }) }
