package build

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// ParseKey reads a private key in any of the forms that programs write:
//
//   - libp2p's marshalled form, as LoadOrCreateKey keeps it, also in base64 as IPFS nodes have it in their configuration, or in
//     hexadecimal
//   - PEM with a PKCS #8, PKCS #1 or EC key, as openssl writes it, also after other blocks; not of Secp256k1
//   - the 32 bytes of an Ed25519 seed, or the 64 of a seed and its public key, in base64 or hexadecimal
//
// The error does not show what was given.
func ParseKey(given []byte) (crypto.PrivKey, error) {
	if len(given) > maxKeyFile {
		return nil, fmt.Errorf("build: %d bytes are no private key: give at most %d", len(given), maxKeyFile)
	}
	if block := privatePEM(given); block != nil {
		return parsePEM(block)
	}
	forms := [][]byte{given}
	text := strings.TrimSpace(string(given))
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString,
	} {
		if raw, err := decode(text); err == nil {
			forms = append(forms, raw)
		}
	}
	for _, raw := range forms {
		if key, err := crypto.UnmarshalPrivateKey(raw); err == nil {
			return key, nil
		}
	}
	for _, raw := range forms[1:] {
		if key, ok := ed25519Of(raw); ok {
			return key, nil
		}
	}
	return nil, errors.New("build: this is no private key in a form that is known: give libp2p's form, base64 of it, PEM, or an Ed25519 seed in hexadecimal")
}

// ed25519Of makes a key of a seed, or of a seed with its public key.
func ed25519Of(raw []byte) (crypto.PrivKey, bool) {
	if len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
		return nil, false
	}
	std := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	if len(raw) == ed25519.PrivateKeySize && !bytes.Equal(raw, std) {
		return nil, false
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(std)
	return key, err == nil
}

// privatePEM returns the first block of a private key, or the first one if there is none;
// nil if there are no blocks. openssl writes a key's parameters before it.
func privatePEM(given []byte) (found *pem.Block) {
	for block, rest := pem.Decode(given); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block
		}
		if found == nil {
			found = block
		}
	}
	return found
}

// secp256k1 is the name of that curve in DER: 1.3.132.0.10 (SEC 2, section A.2.1).
var secp256k1 = []byte{6, 5, 0x2b, 0x81, 4, 0, 10}

func parsePEM(block *pem.Block) (crypto.PrivKey, error) {
	var std any
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	} {
		if key, err := parse(block.Bytes); err == nil {
			std = key
			break
		}
	}
	if edwards, ok := std.(ed25519.PrivateKey); ok {
		std = &edwards
	}
	if std == nil && bytes.Contains(block.Bytes, secp256k1) {
		return nil, errors.New("build: a Secp256k1 key is not read from PEM: give it in libp2p's form, or in base64 of that")
	}
	if std == nil {
		return nil, fmt.Errorf("build: the PEM block %.40q holds no private key without a password: write it anew with `openssl pkcs8 -topk8 -nocrypt`", block.Type)
	}
	key, _, err := crypto.KeyPairFromStdKey(std)
	if err != nil {
		return nil, fmt.Errorf("build: no peer can have this kind of key (%v): give an Ed25519, RSA or ECDSA key, or a Secp256k1 key in libp2p's form", err)
	}
	return key, nil
}

// SaveKey writes a private key to a new file, as LoadOrCreateKey reads it. A file that is there is not replaced: the error is
// fs.ErrExist.
func SaveKey(path string, key crypto.PrivKey) error {
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return fmt.Errorf("build: this key cannot be kept: %w; give an Ed25519 key", err)
	}
	switch err := saveKey(path, raw); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("build: key file %s is not replaced: %w; choose another path, or move it away", path, err)
	case err != nil:
		return fmt.Errorf("build: cannot create key file %s: %w; choose a path in a directory you can write to", path, err)
	}
	return nil
}
