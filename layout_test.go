package kdht_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kdht/kdht/test/layout"
)

// The rules of this house, checked over its own tree. How each is looked for stands in test/layout, where each has bad samples
// that it must find. A rule that has become wrong is changed here and in docs/ARCHITECTURE.md, in the same commit.

const module = "github.com/kdht/kdht"

// Who may import whom. The core's three leaves may use nothing of third parties but the vocabulary of peers and addresses.
var imports = map[string]layout.ImportRule{
	"protocol/keyspace": {Foreign: []string{"github.com/libp2p/go-libp2p/core/peer"}},
	"protocol": {Foreign: []string{
		"github.com/libp2p/go-libp2p/core/peer",
		"github.com/multiformats/go-multiaddr",
		"google.golang.org/protobuf/encoding/protowire",
	}},
	"protocol/profile":  {Ours: []string{"protocol"}, Foreign: []string{"github.com/multiformats/go-multiaddr"}},
	"protocol/rpc":      {Ours: []string{"protocol"}},
	"host":              {},
	"host/build":        {Ours: []string{"protocol/profile"}},
	"store":             {Ours: []string{"protocol", "protocol/keyspace"}},
	"store/...":         {Ours: []string{"protocol", "protocol/keyspace", "store", "store/keystore"}},
	"routing/kademlia":  {Ours: []string{"protocol", "protocol/keyspace"}},
	"routing/sim":       {Ours: []string{"protocol", "protocol/keyspace", "protocol/profile", "protocol/rpc", "routing/kademlia", "routing/sim/chart", "store", "store/keystore"}},
	"routing/sim/chart": {},
	"routing/crawl":     {Ours: []string{"protocol", "protocol/keyspace"}},
	"routing/metrics":   {Ours: []string{"protocol", "protocol/rpc", "routing"}},
	"routing/tracing":   {Ours: []string{"protocol/keyspace", "routing"}},
	"routing/snapshot":  {Ours: []string{"protocol"}},
	"routing":           {Ours: []string{"protocol", "protocol/keyspace", "protocol/profile", "protocol/rpc", "routing/crawl", "routing/kademlia", "routing/snapshot", "store", "store/keystore", "host"}},
	"routing/amino":     {Ours: []string{"protocol/profile", "protocol/rpc", "store", "routing"}},
	"routing/dual":      {Ours: []string{"routing"}},
	".":                 {Ours: []string{"protocol", "protocol/profile", "routing", "routing/dual", "routing/snapshot", "store", "store/keystore"}},
	"cmd/...":           {Ours: []string{"*"}},
	"examples/...":      {Ours: []string{"*"}},
	"deploy/...":        {},
	"test/...":          {Ours: []string{"*"}},
}

// What of third parties is kept back, and for whom.
var restricted = []layout.Restriction{
	{
		Module:  "github.com/libp2p/go-libp2p",
		Except:  []string{"github.com/libp2p/go-libp2p/core"},
		Allowed: []string{"host/build", "cmd/...", "examples/...", "test/..."},
		Tests:   true,
		Instead: "library packages use go-libp2p's core/* only; the host itself is made in host/build",
	},
	{
		Module:  "github.com/ipfs/boxo",
		Allowed: []string{"routing/amino", "cmd/...", "examples/...", "test/..."},
		Tests:   true,
		Instead: "boxo is linked by routing/amino and by programs only",
	},
	{
		Module:  "github.com/cockroachdb/pebble",
		Allowed: []string{"store/pebble", "test/..."},
		Instead: "the database is behind store/pebble, which programs opt into",
	},
	{
		Module:  "github.com/prometheus/client_golang",
		Allowed: []string{"routing/metrics", "host/build", "cmd/...", "examples/...", "test/..."},
		Tests:   true,
		Instead: "what counts for Prometheus is routing/metrics, which programs opt into",
	},
	{
		Module:  "go.opentelemetry.io/otel",
		Allowed: []string{"routing/tracing", "examples/...", "test/..."},
		Tests:   true,
		Instead: "what makes spans is routing/tracing, which programs opt into",
	},
	{Module: "github.com/libp2p/go-libp2p-kad-dht", Instead: "this project is an implementation of its own"},
	{Module: "github.com/libp2p/go-libp2p-kbucket", Instead: "this project is an implementation of its own"},
}

const (
	takeNow = "take now as an argument, so that the same code runs live and simulated"
	owned   = "one goroutine owns this code, so there is nothing to lock; publish immutable views through sync/atomic"
	noIO    = "the core does no I/O: return what is to be said, or take it as an argument"
	inject  = "draw from the *math/rand/v2.Rand that the caller injects, so that a seed replays a run"
)

var clocks = map[string]string{
	"time.Now": takeNow, "time.Since": takeNow, "time.Until": takeNow, "time.Sleep": takeNow, "time.After": takeNow,
	"time.AfterFunc": takeNow, "time.NewTimer": takeNow, "time.NewTicker": takeNow, "time.Tick": takeNow,
}

// What the core may not touch: the same inputs give the same outputs, in every run.
var pure = []layout.Purity{
	{
		Dirs: []string{"protocol", "protocol/keyspace", "protocol/profile", "routing/kademlia"},
		Packages: map[string]string{
			"sync": owned, "log": noIO, "log/slog": noIO, "github.com/ipfs/go-log/v2": noIO, "os": noIO, "net": noIO, "net/http": noIO,
			"math/rand": inject, "crypto/rand": inject,
		},
		Names: clocks,
		Only:  map[string][]string{"math/rand/v2": {"Rand", "Source", "New", "NewPCG", "NewChaCha8", "PCG", "ChaCha8"}},
		NoGo:  true,
	},
	// These are called from many goroutines and may lock, but they too are told the time.
	{Dirs: []string{"protocol/rpc", "store"}, Names: clocks},
}

var limits = layout.Limits{FileLines: 400, FuncLines: 60, ShortLines: 30, ShortShare: 90, StructField: 15}

// What has earned its place at the top of the tree.
var entries = []string{
	".ci", ".gitignore", "LICENSE", "README.md", "cmd", "deploy", "docs", "example_test.go", "examples", "go.mod", "go.sum", "host",
	"kdht.go", "layout_test.go", "options.go", "options_network.go", "protocol", "routing", "store", "test",
}

func sources(t *testing.T) []*layout.Source {
	t.Helper()
	sources, err := layout.Read(".")
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	if len(sources) < 10 {
		t.Fatalf("only %d Go files found: this check looks in the wrong place", len(sources))
	}
	return sources
}

func report(t *testing.T, problems []layout.Problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestLayoutImports(t *testing.T) {
	report(t, layout.Imports(sources(t), module, imports))
	report(t, layout.Restricted(sources(t), restricted))
}

func TestLayoutPurity(t *testing.T) {
	for _, p := range pure {
		report(t, layout.Pure(sources(t), p))
	}
}

func TestLayoutSizes(t *testing.T) { report(t, layout.Sizes(sources(t), limits)) }

func TestLayoutWaits(t *testing.T) { report(t, layout.Waits(sources(t))) }

func TestLayoutEntries(t *testing.T) {
	tracked, err := layout.Tracked(".")
	if err != nil {
		t.Logf("no check of the tree's top level outside of a git repository: %v", err)
		return
	}
	report(t, layout.Entries(tracked, entries))
}

// No other implementation of this protocol is linked, through whatever dependency.
func TestLayoutLinksNoOtherDHT(t *testing.T) {
	foreign := regexp.MustCompile(`github\.com/libp2p/go-libp2p-(kad-dht|kbucket)`)
	cmd := exec.Command("go", "list", "-e", "-deps", "-test", "./...")
	cmd.Stderr = os.Stderr
	linked, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing the packages that are linked: %v", err)
	}
	if !strings.Contains(string(linked), "github.com/libp2p/go-libp2p/core/peer") {
		t.Fatal("the list of linked packages lacks one that is known to be linked: this check looks in the wrong place")
	}
	for _, line := range foreign.FindAllString(string(linked), -1) {
		t.Errorf("%s is linked: find who imports it with `go list -deps` and take it out", line)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range foreign.FindAllString(string(mod), -1) {
		t.Errorf("go.mod requires %s: take it out", line)
	}
}

// linked lists the packages of third parties that a package of ours links.
func linked(t *testing.T, args ...string) (foreign []string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing what is linked: %v", err)
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && path != module && !strings.HasPrefix(path, module+"/") {
			foreign = append(foreign, path)
		}
	}
	return foreign
}

// How much is linked stands in docs/ARCHITECTURE.md; systems differ by a few packages.
func TestLayoutLinkedPackages(t *testing.T) {
	text, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| [^|]*`go list -deps ([^`]+)` \\| (\\d+) \\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 5 {
		t.Fatalf("%d rows of what is linked found: this check looks in the wrong place", len(rows))
	}
	for _, row := range rows {
		stated, _ := strconv.Atoi(row[2])
		if n := len(linked(t, strings.Fields(row[1])...)); n*100 > stated*105 || n*100 < stated*95 {
			t.Errorf("%s links %d packages of third parties, and docs/ARCHITECTURE.md says %d: find out which are new, and say so there", row[1], n, stated)
		}
	}
}

// What the program alone needs, no library package links: programs that embed kdht do not pay for its commands and pages.
func TestLayoutLibrariesLinkNoneOfTheProgram(t *testing.T) {
	programs := []string{
		"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/schollz/progressbar/v3", "golang.org/x/term", "github.com/pelletier/go-toml/v2",
		"github.com/ipfs/boxo/routing/http/server", "github.com/gorilla/mux", "github.com/rs/cors", "github.com/slok/go-http-metrics/middleware",
		"github.com/prometheus/client_golang/prometheus/promhttp", "github.com/coreos/go-systemd/v22/daemon",
	}
	own := linked(t, "./cmd/node")
	libraries := linked(t, ".", "./host/...", "./protocol/...", "./routing/...", "./store/...")
	for _, p := range programs {
		if !slices.Contains(own, p) {
			t.Errorf("the program does not link %s: take it off this list", p)
		}
		if slices.Contains(libraries, p) {
			t.Errorf("a library package links %s: keep it in cmd, find who imports it with `go list -deps`", p)
		}
	}
	if lean := linked(t, "-tags", "nohttp", "./cmd/node"); slices.Contains(lean, "github.com/rs/cors") || slices.Contains(lean, "github.com/ipfs/boxo/routing/http/server") {
		t.Error("the HTTP parts are linked with -tags nohttp")
	}
	for _, p := range linked(t, ".", "./routing", "./routing/dual") {
		if strings.HasPrefix(p, "github.com/prometheus/") || strings.HasPrefix(p, "go.opentelemetry.io/") {
			t.Errorf("the root package links %s: it belongs to routing/metrics or routing/tracing", p)
		}
	}
}
