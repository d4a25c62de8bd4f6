//go:build unix

// Package sweep has one node announce many keys to a live network on loopback, kills it in the
// middle, and looks for the keys.
//
//	go test ./test/sweep -v -timeout 20m -args -nodes 60 -keys 100000
package sweep

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store/keystore"
	"github.com/kdht/kdht/store/pebble"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"
)

var (
	nodes = flag.Int("nodes", 6, "of how many nodes the network is")
	keys  = flag.Int("keys", 6000, "how many keys are announced")
	rate  = flag.Float64("rate", 0, "what each node takes of one peer in a second (0: the default for -nodes 60, no limit for fewer)")
)

const (
	// childDir names the directory of the program that announces, childSeed where it joins,
	// childK its k: so small that all nodes are half of it, because a node that finds fewer
	// waits for others before it takes its keys for announced.
	childDir, childSeed, childKeys, childK = "KDHT_TEST_SWEEP_DIR", "KDHT_TEST_SWEEP_SEED", "KDHT_TEST_SWEEP_KEYS", "KDHT_TEST_SWEEP_K"
	replicas                               = 20
	// visit is how many keys a node announces before it notes that it has.
	visit = 4096
)

// TestMain runs the program that announces instead of the tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := announce(dir); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func key(i int) multihash.Multihash {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64([]byte("content"), uint64(i)))
	return append(multihash.Multihash{0x12, 0x20}, sum[:]...)
}

func member(keyFile string, cfg routing.Config, seeds ...peer.AddrInfo) (host.Host, *routing.DHT, error) {
	h, err := build.New(build.Config{
		KeyFile: keyFile,
		Listen:  []string{"/ip4/127.0.0.1/tcp/0"}, Protocols: []coreprotocol.ID{routing.DefaultProtocol, routing.DefaultJSONProtocol}, UserAgent: "kdht",
	})
	if err != nil {
		return nil, nil, err
	}
	cfg.BootstrapPeers = seeds
	d, err := routing.New(h, cfg)
	if err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	return h, d, nil
}

// announce is the program: it announces what its keystore holds, filled the first time, and
// says twice a second how far it is. It ends when all is done.
func announce(dir string) error {
	kv, err := pebble.Open(dir, pebble.Config{Cache: 4 << 20, OpenFiles: 32})
	if err != nil {
		return err
	}
	own, err := keystore.Open(kv)
	if err != nil {
		return err
	}
	seed, err := peer.AddrInfoFromString(os.Getenv(childSeed))
	if err != nil {
		return err
	}
	var n, k int
	if _, err := fmt.Sscan(os.Getenv(childKeys)+" "+os.Getenv(childK), &n, &k); err != nil {
		return err
	}
	h, d, err := member(dir+".key", routing.Config{Mode: routing.ModeClient, K: k, Stores: routing.Stores{Keys: own}}, *seed)
	if err != nil {
		return err
	}
	defer h.Close() //nolint:errcheck // the program ends
	if err := d.WaitReady(context.Background()); err != nil {
		return err
	}
	if own.Len() == 0 {
		for i := range n {
			if _, err := own.Add(key(i)); err != nil {
				return err
			}
		}
		if err := d.Provider().StartProviding(false); err != nil {
			return err
		}
	}
	fmt.Println("ready", h.ID())
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		<-look.C
		s, r := d.Stats(), usage()
		fmt.Println("due", s.Stored.Due, s.Stored.Reprovide.Now.Sent, s.Stored.Reprovide.Now.Asked, s.Stored.Reprovide.Now.Refused, s.Connected, r)
		if s.Stored.Due == 0 {
			return d.Close()
		}
	}
}

// usage says how many seconds of the processor this program has used, and how many MiB of
// memory at the most. On Linux that is VmHWM: ru_maxrss begins with what the program had
// that started this one.
func usage() string {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return "0 0"
	}
	peak := u.Maxrss
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, of, found := strings.Cut(string(status), "VmHWM:"); found {
			_, _ = fmt.Sscan(of, &peak) // in KiB, as ru_maxrss
		}
	}
	return fmt.Sprintf("%.1f %d", float64(u.Utime.Nano()+u.Stime.Nano())/1e9, peak>>10)
}

// state is what the program has said last.
type state struct {
	due, sent, asked, refused, conns int
	cpu                              float64
	mib                              int
}

// child runs the program until it ends, or kills it when enough says so.
func child(t *testing.T, dir string, seed peer.AddrInfo, enough func(state) bool) (last state, id peer.ID, took time.Duration) {
	t.Helper()
	addrs, err := peer.AddrInfoToP2pAddrs(&seed)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childSeed+"="+addrs[0].String(), fmt.Sprintf("%s=%d", childKeys, *keys),
		fmt.Sprintf("%s=%d", childK, min(replicas, 2**nodes)))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var began time.Time
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "ready "):
			began = time.Now()
			if id, err = peer.Decode(strings.TrimPrefix(line, "ready ")); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(line, "due "):
			s := &last
			if _, err := fmt.Sscanf(line, "due %d %d %d %d %d %f %d", &s.due, &s.sent, &s.asked, &s.refused, &s.conns, &s.cpu, &s.mib); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if enough(last) {
				_ = cmd.Process.Kill()
			}
		default:
			t.Error(line)
		}
	}
	_ = cmd.Wait()
	return last, id, time.Since(began)
}

// TestSweep has the keys announced, with a kill -9 half-way.
func TestSweep(t *testing.T) {
	limit := rpc.LimiterConfig{}
	if *rate != 0 || *nodes < 60 {
		limit.PerPeer = rpc.Rate{PerSecond: *rate, Burst: *rate}
		if *rate == 0 {
			limit.PerPeer = rpc.Rate{PerSecond: -1}
		}
	}
	var all []*routing.DHT
	var seed peer.AddrInfo
	for i := range *nodes {
		seeds := []peer.AddrInfo{seed}
		if i == 0 {
			seeds = nil
		}
		h, d, err := member("", routing.Config{Serving: routing.Serving{Limit: limit}}, seeds...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(d.Close(), h.Close()) })
		if i == 0 {
			seed = peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		} else if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	dir, holders := filepath.Join(t.TempDir(), "announced"), min(replicas, *nodes)
	half, _, first := child(t, dir, seed, func(s state) bool { return s.due <= *keys/2 })
	if half.due == 0 {
		t.Fatal("the program ended before it could be killed")
	}
	taken := announcements(all)
	rest, id, second := child(t, dir, seed, func(state) bool { return false })
	again := announcements(all) - *keys*holders
	t.Logf("%d keys to %d of %d nodes: killed after %v with %d due, the rest took %v: %.0f keys/s; %d announcements until the kill, %d after it, %d more than needed",
		*keys, holders, *nodes, first.Round(time.Millisecond), half.due, second.Round(time.Millisecond), float64(half.due)/second.Seconds(),
		taken, announcements(all)-taken, again)
	t.Logf("the program: %d requests to find the peers, %d batches refused, %.1f CPU s and %d MiB for the second part, %d connections", rest.asked, rest.refused, rest.cpu, rest.mib, rest.conns)
	if rest.due != 0 {
		t.Errorf("%d keys are due in the end", rest.due)
	}
	if again < -*keys*holders/100 || again > visit*holders+rest.refused*512+half.refused*512 {
		t.Errorf("%d announcements more than needed, one visit is %d", again, visit*holders)
	}
	if id == "" {
		t.Fatal("the program did not start again")
	}
	find(t, all)
}

// announcements counts what the nodes took.
func announcements(all []*routing.DHT) (n int) {
	for _, d := range all {
		n += int(d.Stats().Server.Types[protocol.AddProvider].Served)
	}
	return n
}

// find has nodes look for keys all over the keyspace, or for every one if they are few.
func find(t *testing.T, all []*routing.DHT) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	const sample = 1000
	missed := 0
	began := time.Now()
	for range sample {
		d := all[rng.IntN(len(all))]
		found, err := d.FindProviders(t.Context(), cid.NewCidV1(cid.Raw, key(rng.IntN(*keys))))
		if err != nil || len(found) == 0 {
			missed++
		}
	}
	held := 0
	for _, d := range all {
		held += d.Stats().Stored.Providers
	}
	t.Logf("%d of %d keys found in %v; %d records are held", sample-missed, sample, time.Since(began).Round(time.Millisecond), held)
	if missed > 0 || held < *keys*min(replicas, *nodes)*98/100 {
		t.Errorf("%d of %d keys were not found, %d records are held", missed, sample, held)
	}
}
