// Minimal runs two nodes in one process: one stores a value, the other finds it.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/host"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	h1, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		return err
	}
	defer h1.Close()
	first, err := kdht.New(h1)
	if err != nil {
		return err
	}
	defer first.Close()

	h2, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		return err
	}
	defer h2.Close()
	second, err := kdht.New(h2, kdht.BootstrapPeers(*host.InfoFromHost(h1)))
	if err != nil {
		return err
	}
	defer second.Close()
	if err := second.WaitReady(ctx); err != nil {
		return err
	}

	value := []byte("stored by the second node")
	key := store.ImmKey(value) // the value's hash names it
	if err := second.PutValue(ctx, key, value); err != nil {
		return err
	}
	got, err := first.GetValue(ctx, key)
	if err != nil {
		return err
	}
	fmt.Printf("the first node has %q\n", got)
	return nil
}
