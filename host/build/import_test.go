package build

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
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
			block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
			before := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 1, 0}})
			forms = append(forms, block, append(before, block...))
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

// A key that Go does not read from PEM is told from one with a password, and what has no
// private key says what it has.
func TestParseKeyAdvises(t *testing.T) {
	for says, given := range map[string]string{
		"libp2p's form": secp256k1PEM(t),
		"\"CERTIFICATE\"": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})) +
			string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})),
	} {
		if _, err := ParseKey([]byte(given)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}

// secp256k1PEM is as `openssl ecparam -name secp256k1 -genkey -noout` writes it.
func secp256k1PEM(t *testing.T) string {
	der, err := asn1.Marshal(struct {
		Version int
		Key     []byte
		Curve   asn1.ObjectIdentifier `asn1:"explicit,tag:0"`
	}{1, bytes.Repeat([]byte{7}, 32), asn1.ObjectIdentifier{1, 3, 132, 0, 10}})
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
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
	if err := SaveKey(path, key); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "choose another path") {
		t.Errorf("a second time: %v", err)
	}
	if err := SaveKey(filepath.Join(path, "below"), key); err == nil || !strings.Contains(err.Error(), "directory you can write to") {
		t.Errorf("below a file: %v", err)
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
