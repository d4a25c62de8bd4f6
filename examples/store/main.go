// Store keeps a node's values where its program wants them: here as files of a folder.
// The node is started a second time and still has what it was given.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/routing"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "kdht-store-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	value := []byte("kept in a folder")
	key := store.ImmKey(value)
	err = with(dir, func(dht *kdht.DHT) error { return dht.PutValue(ctx, key, value, routing.Offline) })
	if err != nil {
		return err
	}
	return with(dir, func(dht *kdht.DHT) error {
		got, err := dht.GetValue(ctx, key, routing.Offline)
		fmt.Printf("after a restart: %q\n", got)
		return err
	})
}

// with runs a node whose values are in dir while do lasts.
func with(dir string, do func(*kdht.DHT) error) error {
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return err
	}
	dht, err := node(h, dir)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	return errors.Join(do(dht), dht.Close(), h.Close())
}

func node(h host.Host, dir string) (*kdht.DHT, error) {
	kv, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	// The rules and the bounds are the store's, and the node's place says which values
	// are given up first when it is full.
	values := store.NewValues(kv, store.DefaultNamespaces(time.Now), store.ValuesConfig{
		Self: keyspace.KeyOfString(string(h.ID())), MaxBytes: 64 << 20,
	})
	if err := values.Load(time.Now()); err != nil {
		return nil, errors.Join(err, values.Close())
	}
	return kdht.New(h, kdht.ValueStore(values))
}
