// Package crash kills nodes: whole `kdht run` processes, by signal 9, while others store
// with them over the network (reliability.md P13).
//
//	go test ./test/crash -v -args -kills 100
package crash

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/kdht/kdht/test/hostile/raw"
)

var kills = flag.Int("kills", 2, "how many times TestKill kills the node")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// senders is how many peers store at a time: each may send some 200 values at once.
	senders = 4
	// window is how long before a kill an announcement must have been handled for
	// this test to insist on it; the log writes after 2 ms (see store/providerlog).
	window = time.Second
	// patience bounds everything that is waited for.
	patience = 50 * time.Second
)

// node is the program, and what it said it has.
type node struct {
	*testing.T
	program, home string
	cmd           *exec.Cmd
	at            peer.AddrInfo

	mu        sync.Mutex
	values    map[string]string // acknowledged
	sent      map[string]string
	offered   int         // announcements
	handled   int         // of these, before the last kill
	safe      int         // of these, long enough before
	announced []time.Time // when each was known to be handled, since the last start
}

// TestKill kills a node at random moments while it takes values and announcements. Every
// value it acknowledged is there afterwards, and none that was not sent; so is every
// announcement that was handled a second before or longer ago.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	n := &node{T: t, home: t.TempDir(), values: make(map[string]string), sent: make(map[string]string)}
	n.program = filepath.Join(n.home, "kdht")
	if out, err := exec.Command("go", "build", "-o", n.program, "../../cmd/node").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var slowest time.Duration
	for round := range *kills {
		slowest = max(slowest, n.start())
		n.check()
		if round%10 == 9 {
			t.Logf("%d kills so far, %d values acknowledged", round, len(n.values))
		}
		n.load(seed+uint64(round), time.Duration(100+rng.IntN(1900))*time.Millisecond)
	}
	slowest = max(slowest, n.start())
	held := n.check()
	n.kill()
	t.Logf("%d kills: %d values acknowledged of %d sent, 0 lost, 0 wrong; %d announcements handled, %d there; started within %v",
		*kills, len(n.values), len(n.sent), n.handled, held, slowest.Round(time.Millisecond))
	if len(n.values) < *kills || n.handled < *kills {
		t.Errorf("%d values and %d announcements in %d rounds", len(n.values), n.handled, *kills)
	}
}

var told = regexp.MustCompile(`kdht run --bootstrap (/ip4/127\S+)`)

// start starts the node and returns how long that took.
func (n *node) start() time.Duration {
	n.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	n.Cleanup(cancel)
	n.cmd = n.command(ctx, "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir", "data", "--name", "crash")
	read, write, err := os.Pipe()
	if err != nil {
		n.Fatal(err)
	}
	n.cmd.Stdout, n.cmd.Stderr = write, write
	err = n.cmd.Start()
	_ = write.Close() // the node has its own
	if err != nil {
		n.Fatal(err)
	}
	var said bytes.Buffer
	for lines := bufio.NewScanner(read); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if m := told.FindStringSubmatch(lines.Text()); m != nil {
			at, err := peer.AddrInfoFromString(m[1])
			if err != nil {
				n.Fatal(err)
			}
			n.at = *at
			go func() { _, _ = io.Copy(io.Discard, read); _ = read.Close() }()
			return time.Since(began)
		}
	}
	n.Fatalf("the node did not start: %s", &said)
	return 0
}

func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.program, args...)
	cmd.Dir = n.home
	cmd.Env = []string{"HOME=" + n.home, "XDG_RUNTIME_DIR=" + filepath.Join(n.home, "run"), "PATH=" + os.Getenv("PATH")}
	return cmd
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait() // it says that it was killed
}

// check compares what the node has with what it said, and returns how many provider
// records it has.
func (n *node) check() (held int) {
	n.Helper()
	file := filepath.Join(n.home, "out")
	_ = os.Remove(file)
	n.run("records", "export", "--name", "crash", file)
	b, err := os.ReadFile(file)
	if err != nil {
		n.Fatal(err)
	}
	found := make(map[string]string)
	for line := range bytes.Lines(b) {
		var r struct{ Key, Value []byte }
		if err := json.Unmarshal(line, &r); err != nil {
			n.Fatalf("%v in %s", err, line)
		}
		found[string(r.Key)] = string(r.Value)
	}
	for key, value := range n.values {
		if got, ok := found[key]; !ok || got != value {
			n.Errorf("%s, which was acknowledged, is there: %t, and as it was: %t", key, ok, got == value)
		}
	}
	for key, value := range found {
		if n.sent[key] != value {
			n.Errorf("%s is %q, which nobody sent", key, value)
		}
	}
	var counts struct{ Providers int }
	if err := json.Unmarshal(n.run("records", "--json", "--name", "crash"), &counts); err != nil {
		n.Fatal(err)
	}
	if counts.Providers < n.safe || counts.Providers > n.offered {
		n.Errorf("%d provider records; %d were handled a second before a kill, %d offered", counts.Providers, n.safe, n.offered)
	}
	return counts.Providers
}

func (n *node) run(args ...string) []byte {
	n.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := n.command(ctx, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		n.Fatalf("kdht %q: %v: %s", args, err, &complaint)
	}
	return out
}

// load has peers store until the node is killed, after so long.
func (n *node) load(seed uint64, long time.Duration) {
	var all sync.WaitGroup
	for i := range uint64(senders) {
		h, err := raw.New(raw.Config{Key: raw.Key(seed, i)})
		if err != nil {
			n.Fatal(err)
		}
		defer h.Close() //nolint:errcheck // nothing is left to be said
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s, err := h.Open(ctx, n.at, "/kdht/kad/1.0.0")
		if err != nil {
			n.Fatal(err)
		}
		rng := raw.Rand(seed, i)
		all.Go(func() {
			for n.put(s, rng) && n.announce(s, h, rng) {
			}
		})
	}
	over := time.NewTimer(long)
	<-over.C
	killed := time.Now()
	n.kill()
	all.Wait()
	for _, at := range n.announced {
		if killed.Sub(at) >= window {
			n.safe++
		}
	}
	n.handled += len(n.announced)
	n.announced = nil
}

// put stores a value and reports whether that was acknowledged: by the record come back.
func (n *node) put(s *raw.Stream, rng *rand.Rand) bool {
	value := raw.Bytes(rng, 20+rng.IntN(400))
	sum := sha256.Sum256(value)
	key := "/imm/" + hex.EncodeToString(sum[:])
	n.mu.Lock()
	n.sent[key] = string(value)
	n.mu.Unlock()
	answer, err := s.Ask(raw.Message{Type: raw.PutValue, Key: []byte(key), Value: value}.Frame())
	if err != nil || !bytes.Equal(answer.Value, value) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.values[key] = string(value)
	return true
}

// announce announces the sender for a few new keys, and waits until that is handled.
func (n *node) announce(s *raw.Stream, h *raw.Host, rng *rand.Rand) bool {
	const few = 5
	n.mu.Lock()
	n.offered += few
	n.mu.Unlock()
	self := raw.Peer{ID: []byte(h.ID()), Addrs: [][]byte{{4, 127, 0, 0, 1, 6, 0x0f, 0xa1}}}
	for range few {
		m := raw.Message{Type: raw.AddProvider, Key: append([]byte{0x12, 0x20}, raw.Bytes(rng, 32)...), Providers: []raw.Peer{self}}
		if _, err := s.Write(m.Frame()); err != nil {
			return false
		}
	}
	if _, err := s.Ask(raw.Message{Type: raw.Ping}.Frame()); err != nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for range few {
		n.announced = append(n.announced, time.Now())
	}
	return true
}
