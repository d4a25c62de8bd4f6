package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/test/hostile"
	"github.com/kdht/kdht/test/hostile/raw"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// public is the protocol of the public network.
const public protocol.ID = "/ipfs/kad/1.0.0"

// node is a target or a twin: its process and the honest who ask it.
type node struct {
	process *process
	target  hostile.Target
	load    *load
}

// Bench is a target, its twin, and the honest members of their network.
type Bench struct {
	Settings Settings
	target   node
	twin     node
	members  []*raw.Host
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// NewBench starts everything and waits until both nodes know the members.
func NewBench(ctx context.Context, s Settings) (*Bench, error) {
	if s.Members == 0 {
		s.Members = 20
	}
	if s.Patience == 0 {
		s.Patience = patience
	}
	b := &Bench{Settings: s, stop: func() {}}
	if err := b.start(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bench) start(ctx context.Context) (err error) {
	if b.target, err = startNode(ctx, b.Settings); err != nil {
		return err
	}
	quiet := b.Settings
	quiet.Files, quiet.Pressed = 0, false
	if b.Settings.Records > 0 {
		quiet.Records = 0 // what a full store costs is seen beside an empty one
	}
	if b.twin, err = startNode(ctx, quiet); err != nil {
		return err
	}
	if err := b.gather(); err != nil {
		return err
	}
	if !b.Settings.Public { // there, nobody on loopback is taken into the table
		if err := b.known(ctx); err != nil {
			return err
		}
	}
	if b.target.load, err = newLoad(ctx, b.target.target, 11, b.Settings.Patience); err != nil {
		return err
	}
	b.twin.load, err = newLoad(ctx, b.twin.target, 12, b.Settings.Patience)
	return err
}

// startNode starts a node's process.
func startNode(ctx context.Context, s Settings) (n node, err error) {
	plan, err := json.Marshal(s)
	if err != nil {
		return n, err
	}
	if n.process, err = start(roleTarget, string(plan)); err != nil {
		return n, err
	}
	var said hello
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := n.process.next(ctx, &said); err != nil {
		return n, err
	}
	id := routing.DefaultProtocol
	if s.Public {
		id = public
	}
	n.target, err = hostile.ParseTarget(said.Addr, id)
	return n, err
}

// gather makes the members, each in a /16 of its own, and keeps them connected.
func (b *Bench) gather() error {
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	var mu sync.Mutex
	var known []raw.Peer
	serve := hostile.Honest(func() []raw.Peer {
		mu.Lock()
		defer mu.Unlock()
		return known[:min(20, len(known))]
	})
	for i := range b.Settings.Members {
		ip := raw.Source(100 + i)
		h, err := raw.New(raw.Config{
			Key: raw.Key(13, honestIdentity+uint64(i)), Source: ip, Listen: fmt.Sprintf("/ip4/%s/tcp/0", ip),
			Protocol: b.target.target.Protocol, Serve: serve,
		})
		if err != nil {
			return err
		}
		b.members = append(b.members, h)
		p := raw.Peer{ID: []byte(h.ID())}
		for _, a := range h.Addrs() {
			p.Addrs = append(p.Addrs, a.Bytes())
		}
		mu.Lock()
		known = append(known, p)
		mu.Unlock()
	}
	for _, h := range b.members {
		for _, n := range []node{b.target, b.twin} {
			b.running.Go(func() { stay(ctx, h, n.target.AddrInfo) })
		}
	}
	return nil
}

// stay keeps h connected to a node.
func stay(ctx context.Context, h *raw.Host, to peer.AddrInfo) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		_ = h.Connect(once, to)
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// known waits until both nodes have the members in their tables.
func (b *Bench) known(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, n := range []node{b.target, b.twin} {
		for {
			s, err := n.state(ctx)
			if err != nil {
				return fmt.Errorf("measure: the members are not known: %w", err)
			}
			if s.DHT.Table >= b.Settings.Members*3/4 {
				break
			}
			if pause(ctx, 50*time.Millisecond) != nil {
				return fmt.Errorf("measure: %d of %d members are known after 20 s", s.DHT.Table, b.Settings.Members)
			}
		}
	}
	return nil
}

// state asks a node how it is.
func (n *node) state(ctx context.Context) (s State, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = n.process.ask(ctx, "state", &s)
	return s, err
}

// Protocol is what the nodes speak.
func (b *Bench) Protocol() protocol.ID { return b.target.target.Protocol }

// Close ends the honest, then the nodes.
func (b *Bench) Close() {
	b.stop()
	b.running.Wait()
	var group sync.WaitGroup
	for _, n := range []node{b.target, b.twin} {
		if n.load != nil {
			group.Go(func() { _ = n.load.close() })
		}
	}
	for _, h := range b.members {
		group.Go(func() { _ = h.Close() })
	}
	group.Wait()
	for _, n := range []node{b.target, b.twin} {
		if n.process != nil {
			group.Go(n.process.stop)
		}
	}
	group.Wait()
}

// pause waits, or tells that ctx has ended.
func pause(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
