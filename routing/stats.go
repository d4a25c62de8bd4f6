package routing

import (
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Stats is what a DHT is doing and has done. Counters only grow.
type Stats struct {
	// Mode is ModeServer or ModeClient, and Reason says why it is so.
	Mode   Mode
	Reason string
	// Table is the number of peers in the routing table, Connected that of peers
	// with a direct connection, Speaking that of those among them that serve our
	// protocol.
	Table, Connected, Speaking int
	// Lonely is why the routing table is empty, such as "12 connected, 0 speak
	// /x/kad/1.0.0 as servers", and wraps ErrNoPeers; nil if it is not.
	Lonely error
	// Operations is the number of operations under way, Started that of all since
	// the beginning.
	Operations int
	Started    uint64
	// Cache counts lookups by what they had of others.
	Cache kademlia.CacheStats
	// Stored is what our stores hold.
	Stored Stored
	// Snapshot is what became of the routing table's snapshot.
	Snapshot SnapshotStats
	// Served is what others asked of us, Client what we asked of others.
	Served
	Client rpc.ClientStats
}

// Served is what others asked of us.
type Served struct {
	// Server and JSON count requests, by format; Limiter what the gate before both
	// has done, Load what the queue behind it.
	Server, JSON rpc.ServerStats
	Limiter      rpc.LimiterStats
	Load         rpc.LoadStats
	// Inbound is what became of others' streams; zero on a transport that does not
	// tell.
	Inbound host.Stats
}

// Stored counts records.
type Stored struct {
	Values     int
	ValueBytes int64
	Providers  int // provider records
	Providing  int // keys that we keep announced
	Due        int // of these, to be announced out of their turn
	// Reprovide is how far announcing them is.
	Reprovide  kademlia.ReprovideStats
	Publishing int // own values that we put again
	// PublishErr is why those of an earlier run are not, nil if they are.
	PublishErr error
}

// Stats returns a snapshot; after Close it is what there was at the end, but for
// what the loop counts.
func (d *DHT) Stats() Stats {
	type counts struct {
		cache      kademlia.CacheStats
		reprovide  kademlia.ReprovideStats
		publishing int
	}
	c, _ := ask(d.loop, func(now time.Time) counts {
		n := d.loop.node
		return counts{n.CacheStats(), n.Reproviding(now), n.Publishing()}
	})
	s := Stats{
		Table:  d.loop.node.View().Len(),
		Cache:  c.cache,
		Served: Served{Server: d.server.main.Stats(), Limiter: d.server.limiter.Stats(), Load: d.server.load.Stats()},
		Client: d.network.client.Stats(),
	}
	if t, tells := d.transport.(interface{ Stats() host.Stats }); tells {
		s.Inbound = t.Stats()
	}
	s.Operations, s.Started = d.turns.counts()
	s.Mode, s.Reason = d.role.now()
	s.Connected, s.Speaking, _ = d.book.count()
	if s.Table == 0 {
		s.Lonely = d.whyNotReady()
	}
	s.Stored.Reprovide, s.Stored.Publishing = c.reprovide, c.publishing
	s.Snapshot = d.resumption.state()
	s.Stored.PublishErr = d.publications.failure()
	if d.server.json != nil {
		s.JSON = d.server.json.Stats()
	}
	if d.values != nil {
		s.Stored.Values, s.Stored.ValueBytes = d.values.Len(), d.values.Bytes()
	}
	if d.providers != nil {
		s.Stored.Providers = d.providers.Len()
		s.Stored.Providing, s.Stored.Due = d.kept.store.Len(), d.kept.store.DueLen()
	}
	return s
}

// Buckets describes the routing table; nil after Close.
func (d *DHT) Buckets() []kademlia.BucketInfo {
	buckets, _ := ask(d.loop, func(time.Time) []kademlia.BucketInfo { return d.loop.node.Buckets() })
	return buckets
}

// DumpQueries describes the operations under way, the oldest first, those of the
// table's own upkeep included; nil after Close.
func (d *DHT) DumpQueries() []kademlia.QueryInfo {
	queries, _ := ask(d.loop, func(time.Time) []kademlia.QueryInfo { return d.loop.node.Queries() })
	return queries
}

// NetworkSize returns how many peers the network has besides us, as far as our table
// and the last ten minutes' lookups tell, and of how many samples that is the median:
// one is off by a quarter, ten are by a tenth. 0, 0 where nobody is known, and after
// Close.
func (d *DHT) NetworkSize() (peers, samples int) {
	type size struct{ peers, samples int }
	s, _ := ask(d.loop, func(now time.Time) size {
		peers, samples := d.loop.node.NetworkSize(now)
		return size{int(peers + 0.5), samples}
	})
	return s.peers, s.samples
}

// WholeTable returns how much of the network is known by heart, which is nothing without
// Config.Whole, and after Close.
func (d *DHT) WholeTable() kademlia.WholeTable {
	s, _ := ask(d.loop, func(time.Time) kademlia.WholeTable { return d.loop.node.WholeTable() })
	return s
}

// Mode returns ModeServer or ModeClient: whether we serve others just now.
func (d *DHT) Mode() Mode {
	m, _ := d.role.now()
	return m
}

// LocalAddrs returns our own addresses as others are told of them, without
// /p2p.
func (d *DHT) LocalAddrs() []multiaddr.Multiaddr {
	return multiaddrs(d.book.self.Load().Peer.Addrs)
}

// Connected returns the connected peers that serve our protocol.
func (d *DHT) Connected() []peer.ID { return d.book.speaking() }
