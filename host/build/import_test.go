package build

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// A key comes back from every form that programs write it in.
func TestParseKey(t *testing.T) {
	for _, kind := range []int{crypto.Ed25519, crypto.Secp256k1, crypto.ECDSA, crypto.RSA} {
		key, _, err := crypto.GenerateKeyPairWithReader(kind, 2048, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := crypto.MarshalPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		forms := [][]byte{raw, []byte(base64.StdEncoding.EncodeToString(raw) + "\n"), []byte(hex.EncodeToString(raw))}
		if std, err := crypto.PrivKeyToStdKey(key); err == nil && kind != crypto.Secp256k1 {
			der, err := x509.MarshalPKCS8PrivateKey(plain(std))
			if err != nil {
				t.Fatal(err)
			}
			forms = append(forms, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		}
		if kind == crypto.Ed25519 {
			both, err := key.Raw()
			if err != nil {
				t.Fatal(err)
			}
			forms = append(forms, []byte(hex.EncodeToString(both)), []byte(hex.EncodeToString(both[:32])), []byte(base64.StdEncoding.EncodeToString(both[:32])))
		}
		for i, form := range forms {
			if got, err := ParseKey(form); err != nil || !got.Equals(key) {
				t.Errorf("kind %d, form %d: %v", kind, i, err)
			}
		}
	}
}

// What is no key is refused in a line that does not show it.
func TestParseKeyRefuses(t *testing.T) {
	secret := strings.Repeat("ab", 40)
	for _, given := range []string{"", secret, strings.Repeat("ab", 64), strings.Repeat("x", maxKeyFile+1), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(given)); err == nil || strings.Contains(err.Error(), "abab") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: %v", given, err)
		}
	}
}

func TestSaveKeyReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveKey(path, key); err != nil {
		t.Fatal(err)
	}
	if err := SaveKey(path, key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	if got, err := LoadOrCreateKey(path); err != nil || !got.Equals(key) {
		t.Errorf("loaded: %v", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(strings.Repeat("ab", 32)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, given []byte) {
		if key, err := ParseKey(given); (key == nil) != (err != nil) {
			t.Errorf("%v and %v", key, err)
		}
	})
}

// plain is the form of a key that x509 writes.
func plain(std any) any {
	if edwards, ok := std.(*ed25519.PrivateKey); ok {
		return *edwards
	}
	return std
}
