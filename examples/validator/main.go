// Validator gives an overlay values of its own kind: high scores, where each
// player's best one wins and nonsense is refused by every node.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p/core/host"
)

// scores judges the values under /score/<player>: decimal numbers, the highest
// wins. A real game would have scores signed; anybody may claim these.
type scores struct{}

// Validate says whether a value may be stored at all.
func (scores) Validate(_ string, value []byte) error {
	_, err := strconv.ParseUint(string(value), 10, 32)
	return err
}

// Select names the best of several valid values.
func (scores) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("no scores")
	}
	best, index := uint64(0), 0
	for i, v := range values {
		if n, err := strconv.ParseUint(string(v), 10, 32); err == nil && n > best {
			best, index = n, i
		}
	}
	return index, nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	h1, server, err := node()
	if err != nil {
		return err
	}
	defer h1.Close()
	defer server.Close()
	h2, player, err := node(kdht.BootstrapPeers(*host.InfoFromHost(h1)))
	if err != nil {
		return err
	}
	defer h2.Close()
	defer player.Close()
	if err := player.WaitReady(ctx); err != nil {
		return err
	}

	for _, score := range []string{"120", "4711", "99", "cheat"} {
		if err := player.PutValue(ctx, "/score/ada", []byte(score)); err != nil {
			fmt.Println("refused:", err)
		}
	}
	best, err := server.GetValue(ctx, "/score/ada")
	if err != nil {
		return err
	}
	fmt.Printf("Ada's best score is %s\n", best)
	return nil
}

// node starts a node of the game's own network.
func node(opts ...kdht.Option) (host.Host, *kdht.DHT, error) {
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return nil, nil, err
	}
	opts = append(opts, kdht.ProtocolPrefix("/game"), kdht.NamespacedValidator("score", scores{}))
	dht, err := kdht.New(h, opts...)
	if err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	return h, dht, nil
}
