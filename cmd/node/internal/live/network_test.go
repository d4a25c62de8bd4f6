package live

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/data"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// signed is an IPNS record and its key.
func signed(t *testing.T) (key, record []byte) {
	t.Helper()
	sk, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(sk)
	if err != nil {
		t.Fatal(err)
	}
	to, err := path.NewPath("/ipns/example.net")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipns.NewRecord(sk, to, 1, time.Now().Add(time.Hour), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if record, err = ipns.MarshalRecord(r); err != nil {
		t.Fatal(err)
	}
	return ipns.NameFromPeer(id).RoutingKey(), record
}

// A node in both of IPFS nodes' networks at a time stores in both, finds what is in
// either, and says of both how it is in them.
func TestNetworks(t *testing.T) {
	public, local := start(t, Config{Network: Amino}), start(t, Config{Network: LAN})
	sk, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self, err := peer.IDFromPrivateKey(sk)
	if err != nil {
		t.Fatal(err)
	}
	stores, err := data.Open(t.TempDir(), self, Dual.Rules())
	if err != nil {
		t.Fatal(err)
	}
	both := start(t, Config{Network: Dual, Key: sk, Stores: stores}, public, local)
	for _, d := range []*routing.DHT{both.dht, both.lan, public.dht, local.dht} {
		if err := d.WaitPeers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	key, record := signed(t)
	stored, err := both.Put(t.Context(), control.PutRequest{Key: key, Value: record}, nil)
	if err != nil || len(stored.Report.Holders) != 2 {
		t.Fatalf("put: %+v, %v", stored, err)
	}
	for _, n := range []*Node{public, local, both} {
		got, err := n.Get(t.Context(), control.GetRequest{Key: key}, nil)
		if err != nil || string(got.Value) != string(record) {
			t.Errorf("get: %v", err)
		}
	}
	for _, n := range []*Node{public, local} {
		if _, err := n.Provide(t.Context(), control.ProvideRequest{CID: helloCID}, nil); err != nil {
			t.Error(err)
		}
	}
	if found, err := both.FindProviders(t.Context(), control.ProvidersRequest{CID: helloCID}, nil); err != nil || found.Count != 2 {
		t.Errorf("providers: %+v, %v", found, err)
	}
	s, err := both.Status(t.Context())
	if err != nil || s.Network != "dual" || s.Protocol != "/ipfs/kad/1.0.0" || s.LAN == nil || s.LAN.Protocol != "/ipfs/lan/kad/1.0.0" ||
		s.Peers != 1 || s.LAN.Peers != 1 || s.LAN.Values != 1 || strings.Join(s.Namespaces, " ") != "ipns pk" {
		t.Errorf("status: %+v, %+v, %v", s, s.LAN, err)
	}
	if s, err := public.Status(t.Context()); err != nil || s.Network != "amino" || s.LAN != nil {
		t.Errorf("status: %+v, %v", s, err)
	}
	_, err = public.Put(t.Context(), control.PutRequest{Value: []byte("x")}, nil)
	wantKind(t, err, control.Usage, "keys begin with /ipns/")
	five := 5.0
	if _, err := both.SetThrottle(t.Context(), control.SetThrottleRequest{PeerRate: &five}); err != nil || both.dht.Limits().PerPeer.PerSecond != 5 || both.lan.Limits().PerPeer.PerSecond != 5 {
		t.Errorf("the throttle is not that of both: %v", err)
	}
}

// Who comes to the wrong network is told what to say.
func TestOtherNetworkIsNamed(t *testing.T) {
	public := start(t, Config{Network: Amino})
	n, err := Start(Config{Prefix: "/test", Mode: routing.ModeClient, Bootstrap: []peer.AddrInfo{public.Info()}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	wantKind(t, n.Join(t.Context()), control.NoPeers, "give --network amino")
}

// What the kinds are made of, without starting any: none dials anybody here.
func TestKindsOfNetworks(t *testing.T) {
	for kind, want := range map[Network]struct {
		main, lan protocol.ID
		dialed    profile.Profile
		begins    int
	}{
		Private: {"/x/kad/1.0.0", "", profile.Private, 0},
		Amino:   {"/ipfs/kad/1.0.0", "", profile.Public, 5},
		LAN:     {"/ipfs/lan/kad/1.0.0", "", profile.LAN, 0},
		Dual:    {"/ipfs/kad/1.0.0", "/ipfs/lan/kad/1.0.0", profile.Public, 5},
	} {
		n := Node{cfg: Config{Network: kind, Prefix: "/x", Profile: kind.Profile(), Bootstrap: kind.Bootstrap(), Mode: routing.ModeAuto}, stores: &data.Stores{}, lanStores: &data.Stores{}}
		main, _, lan := protocols(&n.cfg)
		n.protocol = main
		cfg, around := n.settings("")
		if main != want.main || lan != want.lan || cfg.Protocol != main || cfg.Filters.Profile != want.dialed || len(cfg.BootstrapPeers) != want.begins || cfg.Mode != routing.ModeAuto {
			t.Errorf("%s: %v %v %+v", kind, main, lan, cfg)
		}
		if (around != nil) != (kind == Dual) {
			t.Errorf("%s: the local network: %+v", kind, around)
		}
		if around != nil && (around.Mode != routing.ModeServer || around.Filters.Profile != profile.LAN || len(around.BootstrapPeers) != 0) {
			t.Errorf("%s: the local network: %+v", kind, around)
		}
		if k, err := ParseNetwork(string(kind)); err != nil || k != kind || !slices.Contains(Networks, string(kind)) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	_, err := ParseNetwork("nonsense")
	wantKind(t, err, control.Usage, "use private, amino, lan or dual")
}

// That the table of the local network is damaged is told like that of the public one.
func TestDamagedTableBesideIsTold(t *testing.T) {
	for _, name := range []string{"table", "lan/table"} {
		sk, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		self, err := peer.IDFromPrivateKey(sk)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		stores, err := data.Open(strings.TrimSuffix(file, name), self, Dual.Rules())
		if err != nil {
			t.Fatal(err)
		}
		n := start(t, Config{Network: Dual, Key: sk, Stores: stores})
		wantKind(t, n.Resumed(), control.Failed, name)
	}
}
