package measure

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2pprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// Settings say what node is attacked. The zero value is what `kdht run` starts.
type Settings struct {
	// Public makes it a member of the public network's kind, with its filters.
	Public bool `json:"public,omitempty"`
	// Slow is how long it takes over each request, with as many workers as it has: so
	// that its capacity is known, whatever the machine; and no peer is limited then.
	Slow time.Duration `json:"slow,omitempty"`
	// Subnets makes it bound the members of one /16, as members of a public network do.
	Subnets bool `json:"subnets,omitempty"`
	// Files bounds its file descriptors (0: as they are).
	Files uint64 `json:"files,omitempty"`
	// Records is how many provider records are in its store before it starts.
	Records int `json:"records,omitempty"`
	// Pressed fills half of its stores before it starts.
	Pressed bool `json:"pressed,omitempty"`
	// Members is how many honest members it and its twin know (0: 20).
	Members int `json:"-"`
	// Patience is how long an honest client waits for an answer (0: 5 s).
	Patience time.Duration `json:"-"`
}

// slowWorkers is how many requests a slow node handles at a time.
const slowWorkers = 16

// State is how a node is.
type State struct {
	RSS, Heap  int64 // bytes
	Goroutines int
	CPU        time.Duration // since its start
	Conns      int
	// Streams are inbound ones of its protocol, StreamsOfOne the most of a peer.
	Streams, StreamsOfOne int
	DHT                   routing.Stats
}

// hello is what a target says first.
type hello struct{ Addr string }

// looked is the answer to lookups: how many, and how many found nobody.
type looked struct{ Lookups, Failed int }

// runTarget is a target process: it answers questions until in ends.
func runTarget(plan string, in io.Reader, out io.Writer) error {
	var s Settings
	if err := json.Unmarshal([]byte(plan), &s); err != nil {
		return err
	}
	if err := limitFiles(s.Files); err != nil {
		return err
	}
	t, err := newTarget(s)
	if err != nil {
		return err
	}
	defer t.close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go build.Thrifty(ctx) // as kdht run does
	say := json.NewEncoder(out)
	if err := say.Encode(hello{fmt.Sprintf("%s/p2p/%s", t.host.Addrs()[0], t.host.ID())}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch verb, rest, _ := strings.Cut(lines.Text(), " "); verb {
		case "state":
			err = say.Encode(t.state())
		case "collected":
			debug.FreeOSMemory()
			err = say.Encode(t.state())
		case "lookup":
			n, _ := strconv.Atoi(rest)
			err = say.Encode(t.lookup(min(n, 1000)))
		default:
			err = fmt.Errorf("no question %q", verb)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// target is the node of such a process.
type target struct {
	host     host.Host
	dht      *routing.DHT
	protocol libp2pprotocol.ID
	rng      *rand.Rand
}

func newTarget(s Settings) (*target, error) {
	cfg := routing.Config{Protocol: routing.DefaultProtocol, JSONProtocol: routing.DefaultJSONProtocol}
	if s.Public {
		cfg = routing.Config{Protocol: public, Filters: routing.Filters{Profile: profile.Public}}
	}
	cfg.Filters.Subnets = s.Subnets
	if s.Slow > 0 {
		cfg.Serving.Limit.PerPeer = rpc.Unlimited
		cfg.Serving.Load.Workers = slowWorkers
		cfg.Serving.OnRequest = func(protocol.Remote, *protocol.Message) { time.Sleep(s.Slow) }
	}
	h, err := build.New(build.Config{
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Protocols: []libp2pprotocol.ID{cfg.Protocol, cfg.JSONProtocol}, UserAgent: "kdht",
		Profile: cfg.Filters.Profile,
	})
	if err != nil {
		return nil, err
	}
	t := &target{host: h, protocol: cfg.Protocol, rng: rand.New(rand.NewPCG(1, 2))}
	if s.Records > 0 {
		cfg.Stores.Providers = filled(keyspace.KeyOfString(string(h.ID())), s.Records, 2*s.Records)
	}
	if s.Pressed {
		if err := press(&cfg.Stores, keyspace.KeyOfString(string(h.ID()))); err != nil {
			_ = h.Close()
			return nil, err
		}
	}
	if t.dht, err = routing.New(h, cfg); err != nil {
		_ = h.Close()
		return nil, err
	}
	return t, nil
}

func (t *target) close() {
	_ = t.dht.Close()
	_ = t.host.Close()
}

// filled returns a store of n provider records of at most so many, two for each key,
// of 5,000 peers.
func filled(self keyspace.Key, n, most int) *store.ProviderStore {
	s := store.NewProviders(store.ProvidersConfig{Self: self, Seed: 1, MaxRecords: most})
	now := time.Now()
	for i := range uint64(n) {
		key := append([]byte{0x12, 0x20}, make([]byte, 32)...)
		binary.BigEndian.PutUint64(key[2:], (i/2)*0x9e3779b97f4a7c15)
		id := append([]byte{0x12, 0x20}, make([]byte, 32)...)
		binary.BigEndian.PutUint64(id[2:], i%5000)
		_ = s.Add(now, key, protocol.Peer{ID: id})
	}
	return s
}

// state is the answer to that question.
func (t *target) state() State {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := State{RSS: residentSet(&m), Heap: int64(m.HeapAlloc), Goroutines: runtime.NumGoroutine(), CPU: cpuTime(), DHT: t.dht.Stats()}
	s.DHT.Lonely, s.DHT.Stored.PublishErr, s.DHT.Snapshot.Err = nil, nil, nil // JSON carries no errors
	n := t.host.Network()
	s.Conns = len(n.Conns())
	_ = n.ResourceManager().ViewProtocol(t.protocol, func(p network.ProtocolScope) error {
		s.Streams = p.Stat().NumStreamsInbound
		return nil
	})
	ofPeer := make(map[string]int)
	for _, c := range n.Conns() {
		for _, stream := range c.GetStreams() {
			if stream.Stat().Direction == network.DirInbound && stream.Protocol() == t.protocol {
				ofPeer[string(c.RemotePeer())]++
			}
		}
	}
	for _, count := range ofPeer {
		s.StreamsOfOne = max(s.StreamsOfOne, count)
	}
	return s
}

// lookup looks for n random keys, eight at a time.
func (t *target) lookup(n int) looked {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var failed atomic.Int64
	var group sync.WaitGroup
	slots := make(chan struct{}, 8)
	for range n {
		key := strconv.FormatUint(t.rng.Uint64(), 16)
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if found, err := t.dht.GetClosestPeers(ctx, key); err != nil || len(found) == 0 {
				failed.Add(1)
			}
		})
	}
	group.Wait()
	return looked{n, int(failed.Load())}
}
