package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

func TestNamespaces(t *testing.T) {
	ns := store.DefaultNamespaces(time.Now)
	err := ns.Validate("/x/name", nil)
	const want = `store: no validator for namespace "x" (known: imm, mut, pk); register one with kdht.NamespacedValidator`
	if err == nil || err.Error() != want || !errors.Is(err, store.ErrNamespace) {
		t.Errorf("unknown namespace:\n got %v\nwant %s", err, want)
	}
	for _, k := range []string{"", "/", "x", "//", "//x", "/imm", "imm/x"} {
		_, selectErr := ns.Select(k, [][]byte{nil})
		for _, err := range []error{ns.Validate(k, nil), selectErr} {
			if !errors.Is(err, store.ErrNamespace) || !strings.Contains(err.Error(), "/namespace/name") {
				t.Errorf("key %q: %v", k, err)
			}
		}
	}
	if _, err := ns.Select("/pk/x", nil); err == nil {
		t.Error("selects from no values")
	}
	if err := ns.Validate("/"+strings.Repeat("\xff", 10_000)+"/", nil); err == nil || len(err.Error()) > 1000 {
		t.Errorf("a long hostile key makes an error of %d bytes", len(err.Error()))
	}
}

// TestForeignValidator: go-libp2p-record's own namespaces work, and its error for
// an unknown one is told as ours.
func TestForeignValidator(t *testing.T) {
	s := store.NewValues(store.NewMemory(), record.NamespacedValidator{"pk": record.PublicKeyValidator{}}, store.ValuesConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	if err := s.Put(epoch, protocol.Record{Key: []byte("/x/y")}); !errors.Is(err, store.ErrNamespace) {
		t.Errorf("unknown namespace: %v", err)
	}
	if err := s.Put(epoch, protocol.Record{Key: []byte("/pk/y")}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("bad /pk key: %v", err)
	}
}

func TestPublicKeys(t *testing.T) {
	s := store.NewValues(store.NewMemory(), store.DefaultNamespaces(time.Now), store.ValuesConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	pub := key(t, 1).GetPublic()
	id, _ := peer.IDFromPublicKey(pub)
	value, err := crypto.MarshalPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	rec := protocol.Record{Key: []byte("/pk/" + string(id)), Value: value}
	if err := s.Put(epoch, rec); err != nil {
		t.Error(err)
	}
	otherValue, _ := crypto.MarshalPublicKey(key(t, 2).GetPublic())
	if err := s.Put(epoch, protocol.Record{Key: rec.Key, Value: otherValue}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("another peer's public key: %v", err)
	}
}

func TestImm(t *testing.T) {
	value := []byte("hello")
	k := store.ImmKey(value)
	if want := "/imm/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; k != want {
		t.Fatalf("key %s, want %s", k, want)
	}
	if err := (store.Imm{}).Validate(k, value); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]string{
		"upper case":   "/imm/" + strings.ToUpper(k[5:]),
		"short":        k[:len(k)-1],
		"long":         k + "0",
		"another hash": store.ImmKey([]byte("other")),
		"namespace":    "/imx/" + k[5:],
		"nothing":      "",
	} {
		if err := (store.Imm{}).Validate(bad, value); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if i, err := (store.Imm{}).Select(k, [][]byte{value, value}); i != 0 || err != nil {
		t.Errorf("select: %d, %v", i, err)
	}
	if _, err := (store.Imm{}).Select(k, nil); err == nil {
		t.Error("selects from no values")
	}
}
