package dual_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
	"github.com/kdht/kdht/routing/dual"
	"github.com/libp2p/go-libp2p/core/host"
)

// A node that is in the public network of IPFS nodes and in that around it writes to
// both. Here both are on this machine: nobody else is dialed, and any address passes.
func Example() {
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	around := amino.LANConfig()
	around.Filters.Profile = profile.Private
	neighbour, err := routing.New(h, around)
	if err != nil {
		log.Fatal(err)
	}
	defer neighbour.Close()

	own, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close()
	wan, lan := amino.Config(), around
	wan.BootstrapPeers, wan.Filters.Profile = nil, profile.Private
	lan.BootstrapPeers = append(lan.BootstrapPeers, *host.InfoFromHost(h))
	dht, err := dual.New(own, wan, lan)
	if err != nil {
		log.Fatal(err)
	}
	defer dht.Close()
	if err := dht.WaitReady(context.Background()); err != nil {
		log.Fatal(err)
	}

	var report dual.Report
	key, name := publicKey(own)
	err = dht.PutValue(dual.WithReport(context.Background(), &report), name, key)
	fmt.Println("stored:", err == nil)
	fmt.Println("in the public network:", report.WANErr == nil, "for want of peers:", errors.Is(report.WANErr, routing.ErrNoPeers))
	fmt.Println("in the local one:", report.LANErr == nil)
	// Output:
	// stored: true
	// in the public network: false for want of peers: true
	// in the local one: true
}
