package store_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// key returns the i-th of a sequence of Ed25519 keys.
func key(tb testing.TB, i byte) crypto.PrivKey {
	tb.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = i
	priv, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		tb.Fatal(err)
	}
	return priv
}
