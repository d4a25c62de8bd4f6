package amino_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/routing/amino"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// member starts a member of the public network that dials nobody but through, and is
// content with this machine: leave out all options but the first to join the real one.
func member(through ...peer.AddrInfo) (host.Host, *kdht.DHT) {
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		log.Fatal(err)
	}
	dht, err := kdht.New(h, kdht.Preset(amino.Config()), kdht.BootstrapPeers(through...), kdht.AddressProfile(kdht.ProfilePrivate), kdht.Mode(kdht.ModeServer))
	if err != nil {
		log.Fatal(err)
	}
	return h, dht
}

// One peer publishes where its name leads, another resolves it.
func Example() {
	h1, alice := member()
	defer h1.Close()
	defer alice.Close()
	h2, bob := member(*host.InfoFromHost(h1))
	defer h2.Close()
	defer bob.Close()
	ctx := context.Background()
	for _, dht := range []*kdht.DHT{alice, bob} {
		if err := dht.WaitPeers(ctx, 1); err != nil {
			log.Fatal(err)
		}
	}

	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		log.Fatal(err)
	}
	name := ipns.NameFromPeer(id)
	to, err := path.NewPath("/ipns/docs.example.net")
	if err != nil {
		log.Fatal(err)
	}
	record, err := ipns.NewRecord(key, to, 1, time.Now().Add(48*time.Hour), 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	value, err := ipns.MarshalRecord(record)
	if err != nil {
		log.Fatal(err)
	}
	if err := alice.PutValue(ctx, string(name.RoutingKey()), value); err != nil {
		log.Fatal(err)
	}

	found, err := bob.GetValue(ctx, string(name.RoutingKey()))
	if err != nil {
		log.Fatal(err)
	}
	got, err := ipns.UnmarshalRecord(found)
	if err != nil {
		log.Fatal(err)
	}
	leads, err := got.Value()
	fmt.Println(leads, err)
	// Output: /ipns/docs.example.net <nil>
}
