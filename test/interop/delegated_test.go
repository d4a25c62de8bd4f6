package interop_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	provided = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
	nobodys  = "bafkreidcd7frenco2m6ch7mny63wztgztv3q6fctaffgowkro6kljre5ei"
)

// runs is a `kdht run` in a network like the public one, on loopback alone.
type runs struct{ id, addr, http string }

// kdhtRuns starts the program and waits until it has joined.
func kdhtRuns(t *testing.T, program, home, name string, through *runs) *runs {
	t.Helper()
	args := []string{
		"run", "--json", "--name", name, "--network", "amino", "--profile", "private", "--mode", "server", "--memory",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--http", "0", "--bootstrap",
	}
	if through == nil {
		args = append(args, "none")
	} else {
		args = append(args, through.addr)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env, cmd.Stderr, cmd.WaitDelay = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home}, os.Stderr, 5*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended
	var r runs
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var told struct {
			ID, HTTP string
			Addrs    []string
			Joined   bool
		}
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
		if told.ID != "" {
			r = runs{told.ID, told.Addrs[0], told.HTTP}
		}
		if told.Joined || through == nil {
			return &r
		}
	}
	t.Fatalf("%s ended", name)
	return nil
}

// Helia's delegated routing client, which is what a browser has, finds providers and
// peers, and puts and gets IPNS records, through a running node.
func TestDelegatedRouting(t *testing.T) {
	if !live() {
		return
	}
	stack := js(t)
	script := filepath.Join(filepath.Dir(stack.start[1]), "delegated.mjs")
	program, home := filepath.Join(t.TempDir(), "kdht"), t.TempDir()
	runIn(t, ".", 3*time.Minute, "go", "build", "-o", program, "github.com/kdht/kdht/cmd/node")
	first := kdhtRuns(t, program, home, "first", nil)
	second := kdhtRuns(t, program, home, "second", first)
	third := kdhtRuns(t, program, home, "third", first)
	kdht := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kdht %v: %v\n%s", args, err, out)
		}
	}
	kdht("provide", "--name", "second", provided)

	record, name := heliaRecord(t)
	asked, _ := json.Marshal(map[string]string{
		"url": third.http, "content": provided, "nobodys": nobodys, "peer": asCID(t, second.id), "name": name, "record": record,
	})
	cmd := exec.CommandContext(t.Context(), stack.start[0], script, string(asked))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("Helia's client: %v", err)
	}
	checkTold(t, out, second, []string{asCID(t, first.id), asCID(t, second.id)}, record)
}

// checkTold checks what Helia's client was told.
func checkTold(t *testing.T, out []byte, provider *runs, closest []string, record string) {
	t.Helper()
	type found struct {
		ID    string
		Addrs []string
	}
	var told struct {
		Providers, None, Filtered, Peers, Closest []found
		Before, Record                            string
		Page                                      struct {
			Status                   int
			Origin, Methods, Headers string
		}
	}
	if err := json.Unmarshal(out, &told); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	addr, _, _ := strings.Cut(provider.addr, "/p2p/")
	for what, got := range map[string][]found{"providers": told.Providers, "peers": told.Peers} {
		if len(got) != 1 || got[0].ID != asCID(t, provider.id) || !slices.Equal(got[0].Addrs, []string{addr}) {
			t.Errorf("%s are %v, want %s at %s", what, got, provider.id, addr)
		}
	}
	if len(told.None) != 0 || len(told.Filtered) != 0 {
		t.Errorf("providers of what nobody has: %v; at addresses that nobody has: %v", told.None, told.Filtered)
	}
	var ids []string
	for _, p := range told.Closest {
		ids = append(ids, p.ID)
	}
	if slices.Sort(ids); !slices.Equal(ids, slices.Sorted(slices.Values(closest))) {
		t.Errorf("closest are %v, want %v", ids, closest)
	}
	if told.Before != "NotFoundError" || told.Record != record {
		t.Errorf("IPNS: %s before, and then %s, want %s", told.Before, told.Record, record)
	}
	if p := told.Page; p.Status != 204 || p.Origin != "*" || p.Methods != "PUT" || !strings.EqualFold(p.Headers, "content-type") {
		t.Errorf("a page of another origin is answered %+v", p)
	}
}

func asCID(t *testing.T, id string) string {
	t.Helper()
	p, err := peer.Decode(id)
	if err != nil {
		t.Fatal(err)
	}
	return peer.ToCid(p).String()
}

// heliaRecord returns an IPNS record in base64, and its name as a CID.
func heliaRecord(t *testing.T) (record, name string) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	to, err := path.NewPath("/ipfs/" + provided)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipns.NewRecord(key, to, 1, time.Now().Add(time.Hour), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ipns.MarshalRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw), peer.ToCid(id).String()
}
