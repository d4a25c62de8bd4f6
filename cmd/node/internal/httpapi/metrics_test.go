package httpapi

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/prometheus/client_golang/prometheus"
)

// named returns the names of all metrics that a registry knows, counted already or not.
func named(r *prometheus.Registry) []string {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		r.Describe(descs)
	}()
	names := make(map[string]bool)
	name := regexp.MustCompile(`fqName: "(kdht_\w+)"`)
	for d := range descs {
		if found := name.FindStringSubmatch(d.String()); found != nil {
			names[found[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// The operator's manual lists every metric, and no other.
func TestDocsListEveryMetric(t *testing.T) {
	m := NewMetrics()
	n, err := live.Start(live.Config{Prefix: "/test", Profile: profile.Private, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Trace: []*routing.Trace{m.Trace()}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	refused := &control.Disk{Lost: 7, Refused: "the disk is full"}
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Count: m.Count})
	s.Mount(Admin, "GET /metrics", m.Serve(func() *control.Disk { return refused }))
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	manual, err := os.ReadFile("../../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(kdht_\\w+)` \\|").FindAllStringSubmatch(string(manual), -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if known := named(m.registry); !slices.Equal(listed, known) || len(known) < 40 {
		t.Errorf("docs/OPERATIONS.md lists\n%s\nand there are\n%s", strings.Join(listed, "\n"), strings.Join(known, "\n"))
	}

	c := newClient(t)
	ask(t, c, "GET", URL(l)+"nowhere", "")
	got := ask(t, c, "GET", URL(l)+"metrics", "")
	for _, says := range []string{
		"kdht_disk_lost 7\n", "kdht_disk_refused 1\n", `kdht_http_requests_total{status="4xx",surface="admin"} 1`, `kdht_table_peers{network="/test/kad/1.0.0",peer="` + n.ID().String() + `"} 0`,
		"go_goroutines ", `kdht_table_bucket_peers{`, "# HELP kdht_server 1 while",
	} {
		if !strings.Contains(got.body, says) {
			t.Errorf("/metrics lacks %q", says)
		}
	}
	if got := ask(t, c, "GET", URL(l)+"metrics", "", "Host", "evil.example"); got.status != 403 {
		t.Errorf("by another name: %d", got.status)
	}
}
