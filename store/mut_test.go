package store_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2precord "github.com/libp2p/go-libp2p/core/record"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
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

// exampleKey is a key for examples, which have no testing.TB.
func exampleKey() crypto.PrivKey {
	priv, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		panic(err)
	}
	return priv
}

func seal(tb testing.TB, priv crypto.PrivKey, name string, seq uint64, expiry time.Time, value string) (string, []byte) {
	tb.Helper()
	k, sealed, err := store.SealMut(priv, name, seq, expiry, []byte(value))
	if err != nil {
		tb.Fatal(err)
	}
	return k, sealed
}

var tomorrow = epoch.Add(24 * time.Hour)

func mutAt(now time.Time) store.Mut { return store.Mut{Now: func() time.Time { return now }} }

func TestMutSealAndOpen(t *testing.T) {
	ecdsa, _, err := crypto.GenerateECDSAKeyPair(rand.New(rand.NewSource(1)))
	if err != nil {
		t.Fatal(err)
	}
	rsa, _, err := crypto.GenerateRSAKeyPair(2048, rand.New(rand.NewSource(1)))
	if err != nil {
		t.Fatal(err)
	}
	secp, _, err := crypto.GenerateSecp256k1Key(rand.New(rand.NewSource(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, priv := range []crypto.PrivKey{key(t, 1), ecdsa, rsa, secp} {
		for _, value := range []string{"", "hello", strings.Repeat("x", 60<<10)} {
			expiry := tomorrow.Add(123456789)
			k, sealed := seal(t, priv, "a/b c\xff", 1<<63+7, expiry, value)
			id, _ := peer.IDFromPrivateKey(priv)
			if k != "/mut/"+id.String()+"/a/b c\xff" || k != store.MutKey(id, "a/b c\xff") {
				t.Errorf("key %q", k)
			}
			if err := mutAt(epoch).Validate(k, sealed); err != nil {
				t.Errorf("%s: %v", priv.Type(), err)
			}
			seq, exp, got, err := store.OpenMut(k, sealed)
			if err != nil || seq != 1<<63+7 || !exp.Equal(expiry) || string(got) != value {
				t.Errorf("%s: opened as %d, %v, %d bytes, %v", priv.Type(), seq, exp, len(got), err)
			}
		}
	}
}

func TestMutExpires(t *testing.T) {
	k, sealed := seal(t, key(t, 1), "n", 1, epoch, "v")
	if err := mutAt(epoch).Validate(k, sealed); err != nil {
		t.Errorf("at its expiry: %v", err)
	}
	err := mutAt(epoch.Add(1)).Validate(k, sealed)
	if !errors.Is(err, store.ErrExpired) || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "higher sequence") {
		t.Errorf("after its expiry: %v", err)
	}
	if err := (store.Mut{}).Validate(k, sealed); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("without a clock: %v", err)
	}
	for _, expiry := range []time.Time{{}, time.Unix(-1, 0), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, _, err := store.SealMut(key(t, 1), "n", 1, expiry, nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("expiry %v: %v", expiry, err)
		}
	}
}

func TestMutRefuses(t *testing.T) {
	alice, bob := key(t, 1), key(t, 2)
	k, sealed := seal(t, alice, "name", 1, tomorrow, "v")
	id, _ := peer.IDFromPrivateKey(alice)
	bobKey, bobSealed := seal(t, bob, "name", 1, tomorrow, "v")
	other, _ := seal(t, alice, "other", 1, tomorrow, "v")
	payload := []byte("\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x1a\x04name\x22\x01v")
	if err := mutAt(epoch).Validate(k, raw(t, alice, "/kdht/mut/1", payload)); err != nil {
		t.Fatalf("a payload as documented: %v", err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		key   string
		value []byte
	}{
		"another peer's signature": {k, bobSealed},
		"another peer's key":       {bobKey, sealed},
		"another name":             {other, sealed},
		"a broken signature":       {k, flipped},
		"no value":                 {k, nil},
		"truncated":                {k, sealed[:len(sealed)-1]},
		"trailing bytes":           {k, append(bytes.Clone(sealed), 0x30, 0)},
		"no name":                  {"/mut/" + id.String() + "/", sealed},
		"no name at all":           {"/mut/" + id.String(), sealed},
		"long name":                {store.MutKey(id, strings.Repeat("n", 256)), sealed},
		"peer id as CID":           {"/mut/" + peer.ToCid(id).String() + "/name", sealed},
		"no peer id":               {"/mut/nobody/name", sealed},
		"another namespace":        {"/mux/" + id.String() + "/name", sealed},
		"fields in another order":  {k, reorder(t, sealed)},
		"a key in another form":    {k, rekey(t, sealed)},
		"an overlong length":       {k, append([]byte{sealed[0], sealed[1] | 0x80, 0}, sealed[2:]...)},
		"another payload type":     {k, raw(t, alice, "/kdht/mut/2", payload)},
		"bytes after the payload":  {k, raw(t, alice, "/kdht/mut/1", append(payload, 0x28, 1))},
		"a negative expiry":        {k, raw(t, alice, "/kdht/mut/1", []byte("\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x04name\x22\x00"))},
		"a payload without fields": {k, raw(t, alice, "/kdht/mut/1", nil)},
	} {
		if err := mutAt(epoch).Validate(c.key, c.value); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, _, err := store.OpenMut(c.key, c.value); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: opens, %v", name, err)
		}
	}
	if _, _, err := store.SealMut(alice, "", 1, tomorrow, nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("sealed without a name: %v", err)
	}
	if _, sealed := seal(t, alice, strings.Repeat("n", 255), 1, tomorrow, "v"); sealed == nil {
		t.Error("a name of 255 bytes is refused")
	}
}

// reorder moves the first field of an envelope to its end: the same message to a
// lenient parser, and its signature holds.
func reorder(tb testing.TB, sealed []byte) []byte {
	_, _, n := protowire.ConsumeField(sealed)
	if n < 0 {
		tb.Fatal("not an envelope")
	}
	return append(bytes.Clone(sealed[n:]), sealed[:n]...)
}

// payload is what another program might sign in the same domain.
type payload struct {
	codec string
	b     []byte
}

func (p payload) Domain() string                 { return "kdht-mut-record" }
func (p payload) Codec() []byte                  { return []byte(p.codec) }
func (p payload) MarshalRecord() ([]byte, error) { return p.b, nil }
func (p payload) UnmarshalRecord([]byte) error   { return nil }

func raw(tb testing.TB, priv crypto.PrivKey, codec string, b []byte) []byte {
	tb.Helper()
	e, err := libp2precord.Seal(payload{codec, b}, priv)
	if err != nil {
		tb.Fatal(err)
	}
	sealed, err := e.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

// TestMutForm pins the form of a sealed value: other programs read it.
func TestMutForm(t *testing.T) {
	k, sealed := seal(t, key(t, 1), "name", 300, time.Unix(0, 1000), "hi")
	if want := "/mut/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X/name"; k != want {
		t.Errorf("key %s, want %s", k, want)
	}
	const want = "0a24" + "08011220" + "cecc1507dc1ddd7295951c290888f095adb9044d1b73d696e6df065d683bd4fc" + // key
		"120b" + "2f6b6468742f6d75742f31" + // payload type
		"1a10" + "08ac02" + "10e807" + "1a046e616d65" + "22026869" + // payload
		"2a40" + "58f380b8d99982f2b6ded56c7da8e43ffb76ea91c1737de30fe4ec69d995af91" +
		"c06392e7eb4892899b3827495e04dfc449d027182ac1be9606e1b657d98aae01"
	if got := hex.EncodeToString(sealed); got != want {
		t.Errorf("sealed as\n%s, want\n%s", got, want)
	}
}

// rekey adds an unknown field to the public key in an envelope: the same key to a
// lenient parser, and the signature does not cover it.
func rekey(tb testing.TB, sealed []byte) []byte {
	pub, n := protowire.ConsumeBytes(sealed[1:])
	if n < 0 {
		tb.Fatal("not an envelope")
	}
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, append(bytes.Clone(pub), 0x18, 1))
	return append(b, sealed[1+n:]...)
}

func TestMutSelect(t *testing.T) {
	alice := key(t, 1)
	k, base := seal(t, alice, "n", 5, tomorrow, "m")
	of := func(seq uint64, expiry time.Time, value string) []byte {
		_, sealed := seal(t, alice, "n", seq, expiry, value)
		return sealed
	}
	newer, later := of(6, epoch, "a"), of(5, tomorrow.Add(1), "a")
	low, high := of(5, tomorrow, "x"), of(5, tomorrow, "y")
	if bytes.Compare(low, high) > 0 {
		low, high = high, low
	}
	for name, c := range map[string]struct {
		values [][]byte
		want   int
	}{
		"one":                          {[][]byte{base}, 0},
		"higher sequence":              {[][]byte{base, newer, later}, 1},
		"sequence before expiry":       {[][]byte{later, newer}, 1},
		"later expiry":                 {[][]byte{base, later, base}, 1},
		"greater bytes":                {[][]byte{low, high, low}, 1},
		"greater bytes first":          {[][]byte{high, low}, 0},
		"equal: the first":             {[][]byte{base, bytes.Clone(base)}, 0},
		"first of equal best":          {[][]byte{base, newer, newer}, 1},
		"what does not parse loses":    {[][]byte{nil, {1}, base}, 2},
		"a sequence beyond 63 bits":    {[][]byte{of(1<<63, epoch, "a"), of(1<<63-1, tomorrow, "b")}, 0},
		"an earlier expiry never wins": {[][]byte{of(5, epoch, "zzzz"), base}, 1},
	} {
		if got, err := mutAt(epoch).Select(k, c.values); err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", name, got, err, c.want)
		}
	}
	for _, values := range [][][]byte{nil, {}, {nil}, {{1}, {2}}} {
		if _, err := mutAt(epoch).Select(k, values); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("select from %v: %v", values, err)
		}
	}
}

// TestMutStory publishes, updates, replays and lets expire through a store.
func TestMutStory(t *testing.T) {
	now := epoch
	s := store.NewValues(store.NewMemory(), store.DefaultNamespaces(func() time.Time { return now }), store.ValuesConfig{})
	defer s.Close() //nolint:errcheck // memory of a test
	alice := key(t, 1)
	put := func(seq uint64, expiry time.Time, value string) error {
		k, sealed := seal(t, alice, "page", seq, expiry, value)
		return s.Put(now, protocol.Record{Key: []byte(k), Value: sealed})
	}
	if err := put(1, now.Add(time.Hour), "first"); err != nil {
		t.Fatal(err)
	}
	if err := put(2, now.Add(time.Hour), "second"); err != nil {
		t.Fatal(err)
	}
	if err := put(1, now.Add(time.Hour), "first"); !errors.Is(err, store.ErrOld) {
		t.Errorf("replay of the first: %v", err)
	}
	now = now.Add(2 * time.Hour)
	if err := put(2, now.Add(-time.Hour), "second"); !errors.Is(err, store.ErrExpired) {
		t.Errorf("put of what has expired: %v", err)
	}
	// The stored value has expired, so it counts as absent.
	if err := put(1, now.Add(time.Hour), "again"); err != nil {
		t.Errorf("put over an expired value: %v", err)
	}
}

// FuzzMut: whatever Select can read, it reads the same way as OpenMut, and nothing
// opens under a key but what was sealed for it.
func FuzzMut(f *testing.F) {
	alice := key(f, 1)
	k, sealed := seal(f, alice, "n", 7, tomorrow, "value")
	_, empty := seal(f, alice, "n", 0, time.Unix(0, 0), "")
	_, other := seal(f, key(f, 2), "n", 7, tomorrow, "value")
	for _, b := range [][]byte{nil, sealed, empty, other, reorder(f, sealed), sealed[:len(sealed)/2]} {
		f.Add(k, b)
	}
	f.Fuzz(func(t *testing.T, k2 string, b []byte) {
		v := mutAt(epoch)
		if _, _, _, err := store.OpenMut(k2, b); err == nil && k2 == k && !bytes.Equal(b, sealed) && !bytes.Equal(b, empty) {
			t.Fatalf("opens although nobody sealed it: %x", b)
		}
		best, err := v.Select(k, [][]byte{b, sealed})
		if err != nil || best < 0 || best > 1 {
			t.Fatalf("select: %d, %v", best, err)
		}
		// The order is total: swapping the values swaps the winner.
		swapped, err := v.Select(k, [][]byte{sealed, b})
		if err != nil || swapped == best && !bytes.Equal(b, sealed) {
			t.Fatalf("%x: %d, swapped %d, %v", b, best, swapped, err)
		}
	})
}
