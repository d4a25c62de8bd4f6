// Embed makes kdht the router of a libp2p host: the host then finds the
// addresses of peers it only knows by id, and closing it closes the DHT.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	middle, middleDHT, err := node()
	if err != nil {
		return err
	}
	defer middle.Close()
	known := kdht.BootstrapPeers(*host.InfoFromHost(middle))
	alice, aliceDHT, err := node(known)
	if err != nil {
		return err
	}
	defer alice.Close()
	bob, bobDHT, err := node(known)
	if err != nil {
		return err
	}
	defer bob.Close()
	for dht, peers := range map[*kdht.DHT]int{aliceDHT: 1, bobDHT: 1, middleDHT: 2} {
		if err := dht.WaitPeers(ctx, peers); err != nil {
			return err
		}
	}

	// Alice knows nothing of Bob but his id. The host asks the DHT.
	if err := alice.Connect(ctx, peer.AddrInfo{ID: bob.ID()}); err != nil {
		return err
	}
	fmt.Println("Alice is connected to Bob:", len(alice.Network().ConnsToPeer(bob.ID())) > 0)
	return nil
}

// node makes a libp2p host with a DHT as its router. build.Router is an option
// of libp2p.New as well.
func node(opts ...kdht.Option) (h host.Host, dht *kdht.DHT, err error) {
	router := build.Router(func(h host.Host) (*kdht.DHT, error) {
		dht, err = kdht.New(h, opts...)
		return dht, err
	})
	h, err = build.New(build.Config{
		Listen:  []string{"/ip4/127.0.0.1/tcp/0"},
		Options: []libp2p.Option{router},
	})
	return h, dht, err
}
