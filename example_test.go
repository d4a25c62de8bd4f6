package kdht_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"
)

// start starts a node of an overlay on loopback. A program that has a libp2p
// host already begins at kdht.New.
func start(opts ...kdht.Option) (host.Host, *kdht.DHT) {
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		log.Fatal(err)
	}
	dht, err := kdht.New(h, opts...)
	if err != nil {
		log.Fatal(err)
	}
	return h, dht
}

// pair starts two nodes that know each other, the smallest overlay there is.
func pair(opts ...kdht.Option) (first, second *kdht.DHT, stop func()) {
	h1, first := start(opts...)
	h2, second := start(append(opts, kdht.BootstrapPeers(*host.InfoFromHost(h1)))...)
	for _, dht := range []*kdht.DHT{first, second} {
		if err := dht.WaitPeers(context.Background(), 1); err != nil {
			log.Fatal(err)
		}
	}
	return first, second, func() {
		for _, c := range []interface{ Close() error }{first, second, h1, h2} {
			if err := c.Close(); err != nil {
				log.Print(err)
			}
		}
	}
}

// A value put by one node is got by another. Under /imm/ the key is the hash of
// the value, so that everybody can check it and nobody can replace it.
func Example() {
	alice, bob, stop := pair()
	defer stop()
	ctx := context.Background()

	value := []byte("hello, overlay")
	key := store.ImmKey(value)
	if err := alice.PutValue(ctx, key, value); err != nil {
		log.Fatal(err)
	}
	got, err := bob.GetValue(ctx, key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got)
	// Output: hello, overlay
}

// Who has some content says so, and others find out from its CID.
func Example_provide() {
	alice, bob, stop := pair()
	defer stop()
	ctx := context.Background()

	sum, err := multihash.Sum([]byte("a large file"), multihash.SHA2_256, -1)
	if err != nil {
		log.Fatal(err)
	}
	c := cid.NewCidV1(cid.Raw, sum)
	if err := alice.Provide(ctx, c, true); err != nil {
		log.Fatal(err)
	}
	for p := range bob.FindProvidersAsync(ctx, c, 1) {
		fmt.Println("found Alice:", p.ID == alice.ID(), "with an address:", len(p.Addrs) > 0)
	}
	// Output: found Alice: true with an address: true
}

// The peers nearest to a key are those that hold its records.
func Example_closest() {
	alice, bob, stop := pair()
	defer stop()

	ids, err := alice.GetClosestPeers(context.Background(), "any key")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(ids), "peer, and it is Bob:", ids[0] == bob.ID())
	// Output: 1 peer, and it is Bob: true
}

// A report tells what an operation did.
func ExampleWithReport() {
	alice, bob, stop := pair()
	defer stop()

	var report kdht.Report
	ctx := kdht.WithReport(context.Background(), &report)
	value := []byte("kept by Bob")
	if err := alice.PutValue(ctx, store.ImmKey(value), value); err != nil {
		log.Fatal(err)
	}
	fmt.Println("asked", report.Asked, "answered", report.Answered, "failed", report.Failed.Total())
	fmt.Println("held by Bob:", len(report.Holders) == 1 && report.Holders[0] == bob.ID())
	// Output:
	// asked 2 answered 2 failed 0
	// held by Bob: true
}

// One valid value is enough where any will do.
func ExampleQuorum() {
	alice, bob, stop := pair()
	defer stop()
	ctx := context.Background()

	value := []byte("any copy will do")
	if err := alice.PutValue(ctx, store.ImmKey(value), value); err != nil {
		log.Fatal(err)
	}
	got, err := bob.GetValue(ctx, store.ImmKey(value), kdht.Quorum(1))
	fmt.Printf("%s %v\n", got, err)
	// Output: any copy will do <nil>
}

// What an operation could not do, it says: the first node of a network has
// nobody to give its value to.
func Example_alone() {
	h, dht := start()
	defer h.Close()
	defer dht.Close()

	value := []byte("anybody?")
	err := dht.PutValue(context.Background(), store.ImmKey(value), value)
	fmt.Println(errors.Is(err, kdht.ErrNoPeers))
	fmt.Println(err)
	// Output:
	// true
	// kdht: the value is kept on this node only: no peers in the routing table: nobody is connected and no bootstrap peers are given: pass kdht.BootstrapPeers or connect the host to a member
}

// Hops are observed as with every libp2p router.
func Example_events() {
	alice, bob, stop := pair()
	defer stop()

	ctx, cancel := context.WithCancel(context.Background())
	ctx, events := routing.RegisterForQueryEvents(ctx)
	go func() {
		defer cancel()
		if _, err := alice.GetClosestPeers(ctx, "any key"); err != nil {
			log.Fatal(err)
		}
	}()
	name := map[peer.ID]string{bob.ID(): "Bob"}
	for ev := range events {
		switch ev.Type {
		case routing.SendingQuery:
			fmt.Println("asking", name[ev.ID])
		case routing.PeerResponse:
			fmt.Println(name[ev.ID], "answered")
		}
	}
	// Output:
	// asking Bob
	// Bob answered
}

// greetings lets everybody store any greeting; the longest one wins.
type greetings struct{}

func (greetings) Validate(key string, value []byte) error {
	if len(value) == 0 {
		return errors.New("an empty greeting")
	}
	return nil
}

func (greetings) Select(key string, values [][]byte) (int, error) {
	best := 0
	for i := range values {
		if len(values[i]) > len(values[best]) {
			best = i
		}
	}
	return best, nil
}

// Values of a program's own kind need a validator of its own, in every node.
func ExampleNamespacedValidator() {
	alice, bob, stop := pair(kdht.ProtocolPrefix("/greeter"), kdht.NamespacedValidator("greeting", greetings{}))
	defer stop()
	ctx := context.Background()

	for _, g := range []string{"hello", "good morning"} {
		if err := alice.PutValue(ctx, "/greeting/today", []byte(g)); err != nil {
			log.Fatal(err)
		}
	}
	got, err := bob.GetValue(ctx, "/greeting/today")
	fmt.Printf("%s %v\n", got, err)
	fmt.Println(bob.PutValue(ctx, "/greeting/today", []byte("hi")))
	// Output:
	// good morning <nil>
	// store: a better value is stored for "/greeting/today": get it and publish a newer one
}
