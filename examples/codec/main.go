// Codec has a node speak CBOR beside protobuf: the same requests, under a protocol
// id of their own, for programs that would rather read that.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/host"
	corerouting "github.com/libp2p/go-libp2p/core/routing"
)

const cborID = "/myapp/kad/cbor/1.0.0"

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return err
	}
	defer h.Close()
	dht, err := kdht.New(h, kdht.ProtocolPrefix("/myapp"), kdht.Format(cborID, cborCodec{}))
	if err != nil {
		return err
	}
	defer dht.Close()
	value := []byte("kept as protobuf, read as CBOR")
	key := store.ImmKey(value)
	if err := dht.PutValue(ctx, key, value, corerouting.Offline); err != nil {
		return err
	}

	// A program that is no member asks in CBOR.
	asker, err := build.New(build.Config{Listen: []string{}})
	if err != nil {
		return err
	}
	defer asker.Close()
	caller, err := routing.NewCaller(asker, cborID, cborCodec{})
	if err != nil {
		return err
	}
	defer caller.Close()
	request := protocol.Message{Type: protocol.GetValue, Key: []byte(key), ClusterLevel: 1}
	answer, err := caller.Ask(ctx, *host.InfoFromHost(h), &request)
	if err != nil {
		return err
	}
	fmt.Printf("the answer in CBOR: %q\n", answer.Record.Value)
	return nil
}
