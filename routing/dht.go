// Package routing composes kdht: a DHT is a kademlia.Node, the goroutine that
// owns it, the host that carries its requests, the server that answers those of
// others, and the stores that answer from. It implements libp2p's
// core/routing.Routing.
//
//	dht, err := routing.New(host, routing.Config{BootstrapPeers: peers})
//	err = dht.WaitReady(ctx)
//	err = dht.PutValue(ctx, "/imm/"+hash, value)
//
// Programs import the package at the module's root, which has the same type and
// options with the names libp2p users know.
//
// Three kinds of goroutines meet here. One, the loop, owns the node: it takes
// closures from a mailbox and sleeps until the node's next deadline. One per
// request that is under way waits for its answer and posts it to the loop. Those
// of inbound streams run the handlers, which read an immutable view of the
// routing table and the stores and never wait for the loop. Calls of the API run
// on their callers' goroutines, which is where slow consumers wait.
//
// Invariant: when Close has returned, nothing that the DHT has started is still
// running, and every operation has ended or is ending with ErrClosed.
package routing

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	corehost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// DHT is one member of an overlay. All methods are safe for concurrent use.
type DHT struct {
	cfg       Config
	transport host.Transport
	loop      *loop
	network   *network
	observers *observers // the loop's
	server    server
	book      *book
	role      *role
	holdings
	boot    *bootPeers
	changed signal // the table or the connections have changed
	turns   *turns
	watched watched
	rests   rests
	life
}

var (
	_ core.Routing       = (*DHT)(nil)
	_ core.PubKeyFetcher = (*DHT)(nil)
)

// New starts a DHT on h, which stays the caller's: Close leaves it open. The
// DHT is a member of its network from now on; WaitReady tells when it knows
// another one.
func New(h corehost.Host, cfg Config) (*DHT, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	endpoint, err := host.NewEndpoint(h, cfg.Serving.Streams)
	if err != nil {
		return nil, err
	}
	d, err := NewOn(endpoint, cfg)
	if err != nil {
		return nil, errors.Join(err, endpoint.Close())
	}
	return d, nil
}

// NewOn starts a DHT on a transport, which the DHT closes when it is closed.
func NewOn(t host.Transport, cfg Config) (*DHT, error) {
	return newDHT(t, streams{t}, cfg)
}

// newDHT puts the parts together and starts them. s opens the streams of t.
func newDHT(t host.Transport, s rpc.Streams, cfg Config) (*DHT, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg.Filters = cfg.Filters.careful()
	d := &DHT{
		cfg: cfg, transport: t, turns: newTurns(), life: newLife(),
		boot:      newBootPeers(t.ID(), &cfg),
		observers: &observers{byQuery: make(map[kademlia.QueryID]*operation), ranks: newRanks(t)},
		book:      &book{transport: t, filter: cfg.Filters.take()}, watched: newWatched(),
	}
	d.observers.dialed = func(p peer.ID) bool { return !d.book.Connected(p) }
	d.loop = newLoop(d.closing)
	d.observers.now, d.observers.steps = d.loop.now, d.cfg.wantsSteps()
	d.network = &network{ctx: d.ctx, loop: d.loop, transport: t, client: newClient(s, d.cfg.K), times: d.watched.out}
	if d.loop.node, err = kademlia.NewNode(d.nodeConfig()); err != nil {
		return nil, err
	}
	d.loop.settled = func() {
		if d.observers.dirty {
			d.observers.dirty = false
			d.tableChanged()
		}
	}
	d.openStores()
	if d.values != nil {
		d.stock.dht = d
		d.loop.node.SetStock(&d.stock)
	}
	d.server = newServer(d)
	d.role = &role{transport: t, mode: cfg.Mode, handlers: d.server.handlers, steady: steadiness{first: cfg.Serving.ModeDelay}}
	if err := d.begin(); err != nil {
		return nil, err
	}
	if err := d.tellStarted(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// begin sets everything going that d is made of.
func (d *DHT) begin() error {
	self := d.book.updateSelf()
	d.loop.node.SetAddrs(self.Peer.Addrs)
	d.resume()
	d.resumeProviding()
	d.spawn(d.loop.run)
	if err := d.role.begin(); err != nil {
		return errors.Join(err, d.Close())
	}
	stop, err := d.transport.Watch(d.watcher())
	if err != nil {
		_ = d.Close()
		return err
	}
	d.stopWatch = stop
	d.spawn(d.keepBootstrapped)
	d.spawn(d.keepOffering)
	d.spawn(d.keepStores)
	d.spawn(d.keepThrifty)
	if d.values != nil {
		d.publications.mu.Lock() // nothing is published before it is known what was
		d.spawn(d.resumePublishing)
	}
	if d.resumption.snapshots != nil {
		d.spawn(d.keepTable)
	}
	return nil
}

// nodeConfig is what of the configuration is the node's.
func (d *DHT) nodeConfig() kademlia.Config {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails
	cfg := kademlia.Config{
		Self: d.transport.ID(), Network: d.network, Rand: rand.New(rand.NewChaCha8(seed)), Validator: careful{d.cfg.Validator},
		K: d.cfg.K, Alpha: d.cfg.Alpha, Beta: d.cfg.Beta, Breadth: d.cfg.Breadth, Timing: d.cfg.Timing, Region: d.cfg.Stores.Region, Trace: d.observers.trace(),
		Filters:   kademlia.Filters{TakeAddrs: d.cfg.Filters.take(), Admit: d.cfg.Filters.admit(), Follow: d.cfg.Filters.follow()},
		Connected: d.book.connection, Locate: d.cfg.Filters.locate(),
	}
	return cfg
}

// newClient returns a client whose queues hold what all operations may ask of
// one peer, and that keeps what a node with k replicas looks at of an answer.
func newClient(s rpc.Streams, k int) *rpc.Client {
	return rpc.NewClient(wire, s, rpc.ClientConfig{MaxQueuedPerPeer: 2 * maxOperations, Timeout: requestTimeout, Bounds: kademlia.Taken(k)})
}

// life is the beginning and end of everything a DHT runs.
type life struct {
	ctx       context.Context // ends with the DHT
	end       context.CancelFunc
	closing   chan struct{}
	stopWatch func()

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // what spawn has started
	done    chan struct{}  // closed when Close is through
	err     error          // of Close, when done is closed
}

func newLife() life {
	ctx, cancel := context.WithCancel(context.Background())
	return life{ctx: ctx, end: cancel, closing: make(chan struct{}), done: make(chan struct{}), stopWatch: func() {}}
}

// spawn runs f on a goroutine that Close waits for; false, and nothing is run,
// if the DHT is closed.
func (l *life) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Go(f)
	return true
}

// Close ends the DHT: operations under way return ErrClosed, serving stops, and
// the stores are closed. The host stays open. Further calls wait for the first
// and return the same. A request hook or validator that blocks is waited for 5 s,
// then the error says so; a filter that blocks is waited for. Values are handed over
// to the peers that take our place, and the table is kept, within a second at most.
func (d *DHT) Close() error {
	d.mu.Lock()
	first := !d.closed
	d.closed = true
	d.mu.Unlock()
	if !first {
		<-d.done
		return d.err
	}
	d.rests.wait()
	d.farewell()
	close(d.closing)
	d.end()
	d.stopWatch()
	d.role.end()
	err := d.transport.Close()
	d.running.Wait()
	d.network.running.Wait()
	d.stock.running.Wait()
	d.kept.running.Wait()
	d.observers.ranks.clear() // the loop, whose they are, has ended
	d.err = errors.Join(err, d.closeStores())
	d.tellClosed()
	close(d.done)
	return d.err
}

// ID returns this peer's id.
func (d *DHT) ID() peer.ID { return d.transport.ID() }
