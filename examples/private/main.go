// Private is a network that only its members can enter: a key that all of them share
// closes the connections, a prefix of its own the protocol, and a validator lets no
// value in that the organization has not signed.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/kdht/kdht"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// signed judges values under /signed/: 64 bytes of signature, then a text. What is
// signed is the key and the text, so that no value can be moved to another key.
type signed struct{ by ed25519.PublicKey }

func sign(key ed25519.PrivateKey, name, text string) []byte {
	return append(ed25519.Sign(key, []byte(name+"\n"+text)), text...)
}

// Validate implements record.Validator.
func (s signed) Validate(key string, value []byte) error {
	if len(value) < ed25519.SignatureSize {
		return errors.New("too short for a signature")
	}
	signature, text := value[:ed25519.SignatureSize], value[ed25519.SignatureSize:]
	if !ed25519.Verify(s.by, []byte(key+"\n"+string(text)), signature) {
		return errors.New("not signed by the organization")
	}
	return nil
}

// Select implements record.Validator: what is there stays.
func (signed) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("no values")
	}
	return 0, nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	network := make(pnet.PSK, 32) // a real one is a secret file on each machine: pnet.DecodeV1PSK
	if _, err := rand.Read(network); err != nil {
		return err
	}

	first, firstDHT, err := node(network, public)
	if err != nil {
		return err
	}
	defer first.Close()
	defer firstDHT.Close()
	member, dht, err := node(network, public, kdht.BootstrapPeers(*host.InfoFromHost(first)))
	if err != nil {
		return err
	}
	defer member.Close()
	defer dht.Close()
	if err := dht.WaitReady(ctx); err != nil {
		return err
	}

	const key = "/signed/motd"
	if err := dht.PutValue(ctx, key, sign(private, key, "welcome")); err != nil {
		return err
	}
	got, err := firstDHT.GetValue(ctx, key)
	if err != nil {
		return err
	}
	fmt.Printf("a member reads %q\n", got[ed25519.SignatureSize:])
	fmt.Println("a forger is told:", dht.PutValue(ctx, key, sign(make(ed25519.PrivateKey, 64), key, "mine")))

	stranger, strangerDHT, err := node(make(pnet.PSK, 32), public) // with another key
	if err != nil {
		return err
	}
	defer stranger.Close()
	defer strangerDHT.Close()
	err = stranger.Connect(ctx, *host.InfoFromHost(first))
	fmt.Println("a stranger gets in:", err == nil)
	return nil
}

// node starts a member. A network with a key runs over TCP: QUIC has no place for one.
func node(network pnet.PSK, by ed25519.PublicKey, opts ...kdht.Option) (host.Host, *kdht.DHT, error) {
	h, err := libp2p.New(libp2p.PrivateNetwork(network), libp2p.Transport(tcp.NewTCPTransport), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return nil, nil, err
	}
	opts = append(opts, kdht.ProtocolPrefix("/example.org"), kdht.NamespacedValidator("signed", signed{by}))
	dht, err := kdht.New(h, opts...)
	if err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	return h, dht, nil
}
