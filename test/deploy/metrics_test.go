// Package deploy checks the files of deploy/ against the program that they are about.
package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// described are the labels of each metric, by its name.
type described map[string][]string

// Register implements prometheus.Registerer: it asks what there would be.
func (d described) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	form := regexp.MustCompile(`fqName: "(\w+)".*constLabels: {([^}]*)}, variableLabels: {([^}]*)}`)
	for desc := range descs {
		m := form.FindStringSubmatch(desc.String())
		if m == nil {
			continue
		}
		var labels []string
		for _, l := range strings.Split(m[2]+","+m[3], ",") {
			if name, _, _ := strings.Cut(l, "="); name != "" {
				labels = append(labels, name)
			}
		}
		d[m[1]] = labels
	}
	return nil
}

func (d described) MustRegister(...prometheus.Collector) { panic("BUG: not called") }
func (d described) Unregister(prometheus.Collector) bool { return true }

// known returns every metric of a DHT, and those that `kdht run` has besides.
func known(t *testing.T) described {
	t.Helper()
	h, err := build.New(build.Config{Listen: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	d := make(described)
	var cfg routing.Config
	cfg.Trace = []*routing.Trace{metrics.Prometheus(d)}
	dht, err := routing.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer dht.Close()
	if len(d) < 40 || !slices.Equal(d["kdht_requests_in_total"], []string{"network", "peer", "type", "outcome"}) {
		t.Fatalf("%d metrics; a request has the labels %q: this check looks in the wrong place", len(d), d["kdht_requests_in_total"])
	}
	// The manual lists these too; package httpapi checks that it lists what there is.
	manual, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(kdht_(?:disk|http)_\\w+)` \\|").FindAllSubmatch(manual, -1) {
		d[string(m[1])] = nil
	}
	return d
}

var (
	selector = regexp.MustCompile(`\b([a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// check tells what is wrong with an expression: a metric that there is not, or a label
// that it has not. What Prometheus adds to each is known.
func check(t *testing.T, known described, where, expr string) (names int) {
	t.Helper()
	labels := []string{"instance", "job", "le"}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		name := m[1]
		if !strings.HasPrefix(name, "kdht_") {
			continue
		}
		names++
		has, ok := known[name]
		if base, isHistogram := strings.CutSuffix(name, "_bucket"); !ok && isHistogram && strings.HasSuffix(base, "s") {
			has, ok = known[base]
		}
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		labels = append(labels, has...)
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append([]string{"instance", "job"}, has...), l[1]) {
				t.Errorf("%s: %s has no label %s", where, name, l[1])
			}
		}
	}
	for _, by := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(by[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(labels, l) {
				t.Errorf("%s: nothing in it has the label %s", where, l)
			}
		}
	}
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %s do not match in %s", where, pair, expr)
		}
	}
	return names
}

func TestAlertsAreOfMetrics(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/kdht.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(text, '\t') {
		t.Error("YAML has no tabs")
	}
	known, alerts := known(t), 0
	rules := strings.Split(string(text), "- alert: ")[1:]
	for _, rule := range rules {
		name, rest, _ := strings.Cut(rule, "\n")
		expr := regexp.MustCompile(`(?s)expr: (.*?)\n {8}\w+:`).FindStringSubmatch(rest)
		if expr == nil || !strings.Contains(rest, "summary: ") || !strings.Contains(rest, "action: ") || !strings.Contains(rest, "severity: ") {
			t.Errorf("%s lacks an expression, a severity, a summary or an action", name)
			continue
		}
		if n := check(t, known, name, expr[1]); n > 0 || strings.HasPrefix(expr[1], `up{`) {
			alerts++
		}
	}
	if alerts < 8 || alerts != len(rules) {
		t.Errorf("%d of %d alerts have a metric", alerts, len(rules))
	}
}

func TestDashboardIsOfMetrics(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/kdht.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	known, ids, shown := known(t), make(map[int]bool), 0
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s has another's id, or is out of the picture", p.Title)
		}
		ids[p.ID] = true
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			shown += check(t, known, p.Title, target.Expr)
		}
	}
	if dashboard.UID != "kdht" || shown < 30 {
		t.Errorf("dashboard %q shows %d metrics: this check looks in the wrong place", dashboard.UID, shown)
	}
}
