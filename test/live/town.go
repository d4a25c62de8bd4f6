// Package live measures whole networks of production nodes, hosts and all, between which
// lie delays as between regions of the world, and some of which vanish or hang.
//
//	town, err := live.Start(ctx, live.Config{Nodes: 100, Seed: 1, Virtual: true})
//	defer town.Close()
//	town.Fail(live.Silent, 25)
//	figures := town.Operate(ctx, 5, 8)
//
// All nodes are in this process. In virtual time, within a testing/synctest bubble, what
// is computed takes no time, so that the times measured are those of the network alone
// and do not depend on the machine; over sockets both are measured together.
//
//	go test ./test/live                                                   a small town, counts only
//	go test ./test/live -run Figures -v -timeout 30m -args -nodes 100     the figures of docs/SIMULATION.md
//
// The invariant: Close leaves nothing running.
package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/test/link"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Config says what town to build.
type Config struct {
	Nodes int
	Seed  uint64
	// TCP and QUIC say what the nodes listen on; both if neither.
	TCP, QUIC bool
	// Virtual says that all runs in a synctest bubble.
	Virtual bool
	// Delay is between places: link.Regions of the seed if nil.
	Delay func(from, to netip.Addr) time.Duration
}

// Town is nodes that have joined each other.
type Town struct {
	cfg     Config
	net     *link.Network
	rand    *rand.Rand
	members []*Member
	arrived sync.Map // of peer.ID and *atomic.Int64: the requests that have arrived from it, anywhere
	failed  map[*Member]bool

	newcomers int
}

// Member is a node of the town.
type Member struct {
	place netip.Addr
	host  host.Host
	dht   *routing.DHT
	dials dials
}

// atOnce is how many nodes join side by side.
const atOnce = 8

// Start builds a town: the first node, then the others, who join through the first two.
// The caller closes it.
func Start(ctx context.Context, cfg Config) (*Town, error) {
	if cfg.Delay == nil {
		cfg.Delay = link.Regions(cfg.Seed)
	}
	build := link.New
	if cfg.Virtual {
		build = link.NewVirtual
	}
	t := &Town{
		cfg: cfg, net: build(link.Conditions{Delay: cfg.Delay, Seed: cfg.Seed}), rand: rand.New(rand.NewPCG(cfg.Seed, 1)),
		members: make([]*Member, cfg.Nodes), failed: make(map[*Member]bool),
	}
	errs := make([]error, cfg.Nodes)
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range cfg.Nodes {
		if i == 2 {
			all.Wait()
		}
		through := t.gates(min(i, 2))
		slots <- struct{}{}
		all.Go(func() {
			t.members[i], errs[i] = t.join(ctx, i, through, routing.ModeServer)
			<-slots
		})
		if i == 0 {
			all.Wait()
		}
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// arrival counts the requests of a peer that have arrived, at whomever.
func (t *Town) arrival(p peer.ID) *atomic.Int64 {
	n, _ := t.arrived.LoadOrStore(p, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// Requests returns how many requests each member has sent that arrived, on average.
func (t *Town) Requests() float64 {
	sum := int64(0)
	for _, m := range t.members {
		sum += t.arrival(m.host.ID()).Load()
	}
	return float64(sum) / float64(len(t.members))
}

// Held returns how many connections each member has, and how many members its table, on
// average.
func (t *Town) Held() (connections, table float64) {
	for _, m := range t.members {
		connections += float64(len(m.host.Network().Conns()))
		table += float64(m.dht.Stats().Table)
	}
	n := float64(len(t.members))
	return connections / n, table / n
}

// gates are the first n members, as others join through them.
func (t *Town) gates(n int) []peer.AddrInfo {
	var gates []peer.AddrInfo
	for _, m := range t.members[:n] {
		if m != nil {
			gates = append(gates, m.Info())
		}
	}
	return gates
}

// join starts a node at the i-th place and waits until it knows another one.
func (t *Town) join(ctx context.Context, i int, through []peer.AddrInfo, mode routing.Mode) (*Member, error) {
	m, err := t.begin(i, through, mode, kademlia.Breadth{})
	if err != nil {
		return nil, err
	}
	if len(through) > 0 {
		if err := m.dht.WaitReady(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("live: node %d has not joined: %w", i, err), m.close())
		}
	}
	return m, nil
}

func (t *Town) begin(i int, through []peer.AddrInfo, mode routing.Mode, breadth kademlia.Breadth) (*Member, error) {
	m := &Member{place: t.net.Place(i)}
	cfg := build.Config{
		UserAgent: "kdht", Protocols: []coreprotocol.ID{routing.DefaultProtocol},
		Options: []libp2p.Option{libp2p.ConnectionGater(&m.dials)},
	}
	switch {
	case t.cfg.TCP && !t.cfg.QUIC:
		cfg.Listen = []string{link.TCP(m.place)}
	case t.cfg.QUIC && !t.cfg.TCP:
		cfg.Listen = []string{link.QUIC(m.place)}
	}
	var err error
	if m.host, err = t.net.Host(m.place, cfg); err != nil {
		return nil, err
	}
	serving := routing.Serving{OnRequest: func(from protocol.Remote, _ *protocol.Message) { t.arrival(from.Peer).Add(1) }}
	m.dht, err = routing.New(t.net.Hanging(m.host, m.place), routing.Config{Mode: mode, BootstrapPeers: through, Serving: serving, Breadth: breadth})
	if err != nil {
		return nil, errors.Join(err, m.host.Close())
	}
	return m, nil
}

// Info is how others reach the member.
func (m *Member) Info() peer.AddrInfo { return peer.AddrInfo{ID: m.host.ID(), Addrs: m.host.Addrs()} }

func (m *Member) close() error { return errors.Join(m.dht.Close(), m.host.Close()) }

// Close ends all nodes.
func (t *Town) Close() error {
	errs := make([]error, len(t.members))
	var all sync.WaitGroup
	for i, m := range t.members {
		if m != nil {
			all.Go(func() { errs[i] = m.close() })
		}
	}
	all.Wait()
	return errors.Join(append(errs, t.net.Close())...)
}

// Failure is how nodes fail.
type Failure int

// The ways: not at all; no packet reaches them or leaves them; they are connected and
// answer no request.
const (
	None Failure = iota
	Silent
	Hung
)

// String is how the figures call them.
func (f Failure) String() string { return [...]string{"alive", "silent", "hung"}[f] }

// Fail makes so many members fail, drawn at random from all but the first two and those
// who operate.
func (t *Town) Fail(f Failure, count, operators int) {
	if f == None {
		return
	}
	for _, i := range t.rand.Perm(len(t.members) - operators - 2)[:count] {
		m := t.members[operators+2+i]
		t.failed[m] = true
		if f == Silent {
			t.net.Silence(m.place, true)
		} else {
			t.net.Hang(m.place, true)
		}
	}
}

// dials is a gater that lets everything pass and notes whom the host has dialed.
type dials struct {
	mu    sync.Mutex
	peers map[peer.ID]bool
}

var _ connmgr.ConnectionGater = (*dials)(nil)

// since returns how many peers have been dialed since the last call.
func (d *dials) since() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.peers)
	d.peers = nil
	return n
}

// InterceptAddrDial implements connmgr.ConnectionGater.
func (d *dials) InterceptAddrDial(p peer.ID, _ multiaddr.Multiaddr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.peers == nil {
		d.peers = make(map[peer.ID]bool)
	}
	d.peers[p] = true
	return true
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (*dials) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (*dials) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (*dials) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (*dials) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
