// Package host moves frames over a libp2p host: it is kdht's communication layer.
//
// An Endpoint is put on top of a host that exists already (package host/build
// makes one). Inbound it accepts streams of the protocols it is told to serve,
// cuts them into frames and writes back what a FrameHandler answers; outbound it
// dials, opens streams, keeps a few of them for the next request and hands them
// out as Stream. It watches who connects and what they speak. Everything above
// sees the Transport interface alone.
//
// The invariant: whatever a peer sends, and however many peers there are, the
// number of streams, the bytes held for them and the time they are held are
// bounded by Config; one peer's excess costs that peer its streams and nobody
// else theirs. No lock is held while anything is read, written or dialed.
package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Config is an endpoint's limits. The zero value of each field means its default.
type Config struct {
	// Protocol is spoken on streams this peer opens, and is what Watcher.Speaks
	// looks for. It has no default.
	Protocol protocol.ID
	// MaxFrame is the longest frame read or written, in bytes: 4 MiB (wire.md §2).
	MaxFrame int
	// MaxStreamsPerPeer bounds outbound streams to one peer: 8.
	MaxStreamsPerPeer int
	// MaxStreams bounds outbound streams to all peers: 1024.
	MaxStreams int
	// MaxInboundPerPeer bounds inbound streams of one peer: 64, and half of it
	// under pressure, that is with MaxInbound used by more than 80 %.
	MaxInboundPerPeer int
	// MaxInbound bounds inbound streams of all peers: 512, which is what libp2p's
	// default resource manager allows a protocol on a small machine. Beyond 80 % the
	// longest idle stream of the peer with most of them gives way to a new one.
	MaxInbound int
	// MaxBuffered bounds the bytes of large frames being received: 32 MiB. One peer
	// may hold 1 MiB of it, or a single frame (reliability.md P4, P5).
	MaxBuffered int
	// IdleTimeout is how long an inbound stream lives without a whole message: 60 s,
	// as deployed; half of it under pressure (wire.md §5, §22).
	IdleTimeout time.Duration
	// WriteTimeout is how long writing one answer may take: 10 s.
	WriteTimeout time.Duration
	// ReuseTimeout is how long an outbound stream waits for its next request: 50 s,
	// which is less than the idle timeout of the peers it leads to.
	ReuseTimeout time.Duration
	// MaxAddrs bounds the addresses told of one peer: 16 (wire.md §22).
	MaxAddrs int
}

// withDefaults returns c with every zero field set, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.Protocol == "" {
		return c, errors.New("host: Config.Protocol is empty; set it to the DHT's protocol id, such as /kdht/kad/1.0.0")
	}
	for _, f := range []struct {
		field *int
		value int
		name  string
	}{
		{&c.MaxFrame, 4 << 20, "MaxFrame"},
		{&c.MaxStreamsPerPeer, 8, "MaxStreamsPerPeer"},
		{&c.MaxStreams, 1024, "MaxStreams"},
		{&c.MaxInboundPerPeer, 64, "MaxInboundPerPeer"},
		{&c.MaxInbound, 512, "MaxInbound"},
		{&c.MaxBuffered, 32 << 20, "MaxBuffered"},
		{&c.MaxAddrs, 16, "MaxAddrs"},
	} {
		if err := setDefault(f.field, f.value, f.name); err != nil {
			return c, err
		}
	}
	return c, errors.Join(
		setDefault(&c.IdleTimeout, 60*time.Second, "IdleTimeout"),
		setDefault(&c.WriteTimeout, 10*time.Second, "WriteTimeout"),
		setDefault(&c.ReuseTimeout, 50*time.Second, "ReuseTimeout"))
}

func setDefault[T int | time.Duration](field *T, value T, name string) error {
	if *field < 0 {
		return fmt.Errorf("host: Config.%s is negative; leave it 0 for the default of %v", name, value)
	}
	if *field == 0 {
		*field = value
	}
	return nil
}

// Endpoint is a Transport over a libp2p host. Its parts are a pool of outbound
// streams and a server of inbound ones; the host's peerstore is its address book.
type Endpoint struct {
	host    host.Host
	cfg     Config
	pool    *streamPool
	server  *server
	notify  *network.NotifyBundle
	dialed  dialed
	ranking sync.Mutex // held while a rank is given, or taken back for a moment

	closed   atomic.Bool
	serving  sync.Mutex    // held while handlers are installed or removed
	served   []protocol.ID // installed handlers
	mu       sync.Mutex
	watching map[*watch]struct{}
}

var _ Transport = (*Endpoint)(nil)

// NewEndpoint puts an endpoint on h. It serves nothing until Serve is called.
// The caller closes the endpoint before the host.
func NewEndpoint(h host.Host, cfg Config) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{host: h, cfg: cfg, server: newServer(cfg), watching: make(map[*watch]struct{})}
	e.pool = newStreamPool(cfg, e.newStream)
	e.notify = &network.NotifyBundle{
		DisconnectedF: func(_ network.Network, c network.Conn) { e.pool.drop(c); e.server.drop(c) },
	}
	h.Network().Notify(e.notify)
	return e, nil
}

// ID returns this peer's id.
func (e *Endpoint) ID() peer.ID { return e.host.ID() }

// Connected reports a direct connection to p.
func (e *Endpoint) Connected(p peer.ID) bool {
	return e.host.Network().Connectedness(p) == network.Connected
}

// Connect makes sure there is a direct connection to p; see Transport.
func (e *Endpoint) Connect(ctx context.Context, p peer.AddrInfo) error {
	if e.closed.Load() {
		return ErrClosed
	}
	e.Remember(p.ID, p.Addrs, connectTTL)
	return e.dial(ctx, p.ID)
}

// Serve answers frames of the given protocols; see Transport.
func (e *Endpoint) Serve(handlers map[protocol.ID]FrameHandler) error {
	e.serving.Lock()
	defer e.serving.Unlock()
	if e.closed.Load() {
		return ErrClosed
	}
	for _, id := range e.host.Mux().Protocols() {
		if _, wanted := handlers[id]; wanted && !slices.Contains(e.served, id) {
			return fmt.Errorf("host: %s is %w: close that DHT first, or give this one another protocol", id, ErrServed)
		}
	}
	for _, id := range e.served {
		if _, ok := handlers[id]; !ok {
			e.host.RemoveStreamHandler(id)
			e.server.stop(id)
		}
	}
	e.served = nil
	e.server.start()
	for id, handle := range handlers {
		e.host.SetStreamHandler(id, func(s network.Stream) {
			e.dialed.touch(s.Conn().RemotePeer())
			e.server.serve(s, handle)
		})
		e.served = append(e.served, id)
	}
	return nil
}

// StopServing removes the handlers and resets the streams; see Transport.
func (e *Endpoint) StopServing() {
	e.serving.Lock()
	defer e.serving.Unlock()
	for _, id := range e.served {
		e.host.RemoveStreamHandler(id)
	}
	e.served = nil
	e.server.stop("")
}

// Close ends all that the endpoint does; see Transport. It is idempotent.
func (e *Endpoint) Close() error {
	first := !e.closed.Swap(true)
	e.StopServing()
	if first {
		e.host.Network().StopNotify(e.notify)
		e.pool.close()
		e.mu.Lock()
		watching := e.watching
		e.watching = nil
		e.mu.Unlock()
		for w := range watching {
			w.stop()
		}
	}
	return e.server.wait()
}
