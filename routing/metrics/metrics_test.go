package metrics_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/metrics"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func loopback(t *testing.T) host.Host {
	t.Helper()
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// overlay starts DHTs that know each other, all of them counted in reg.
func overlay(t *testing.T, reg prometheus.Registerer, count int) (nodes []*routing.DHT) {
	t.Helper()
	var first []peer.AddrInfo
	for range count {
		h, cfg := loopback(t), routing.Config{BootstrapPeers: first}
		cfg.Trace = []*routing.Trace{metrics.Prometheus(reg)}
		d, err := routing.New(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if first == nil {
			first = []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}
		} else if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, d)
	}
	for _, d := range nodes {
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// scrape reads all series of one DHT: by name and labels, a histogram's count as name_count.
func scrape(t *testing.T, reg prometheus.Gatherer, of *routing.DHT) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "kdht_") {
			t.Errorf("a name of others: %s", f.GetName())
		}
		for _, m := range f.GetMetric() {
			name, own := f.GetName(), 0
			for _, l := range m.GetLabel() {
				switch {
				case l.GetName() == "peer" && l.GetValue() == of.ID().String(), l.GetName() == "network" && l.GetValue() == string(of.Protocol()):
					own++
				case l.GetName() != "peer":
					name += " " + l.GetValue()
				}
			}
			if own != 2 {
				continue
			}
			switch {
			case m.GetHistogram() != nil:
				all[name+"_count"] = float64(m.GetHistogram().GetSampleCount())
				all[name+"_sum"] = m.GetHistogram().GetSampleSum()
			case m.GetCounter() != nil:
				all[name] = m.GetCounter().GetValue()
			default:
				all[name] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

func TestPrometheus(t *testing.T) {
	reg := prometheus.NewRegistry()
	nodes := overlay(t, reg, 3)
	d, ctx := nodes[0], t.Context()
	before := scrape(t, reg, d)
	if before["kdht_table_peers"] != 2 || before["kdht_server"] != 1 || before["kdht_speaking_peers"] != 2 || before["kdht_network_size_peers"] < 1 {
		t.Errorf("a node of three: %v", before)
	}
	value := []byte("counted")
	sum := sha256.Sum256(value)
	key := "/imm/" + hex.EncodeToString(sum[:])
	c := cid.NewCidV1(cid.Raw, append([]byte{0x12, 0x20}, sum[:]...))
	if err := errors.Join(d.PutValue(ctx, key, value), d.Provide(ctx, c, true)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.GetValue(ctx, "/imm/"+strings.Repeat("0", 64)); !errors.Is(err, routing.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := d.GetClosestPeers(ctx, "somewhere"); err != nil {
		t.Fatal(err)
	}
	after, other := scrape(t, reg, d), scrape(t, reg, nodes[1])
	for name, n := range map[string]float64{
		"kdht_operations_total put_value ok": 1, "kdht_operations_total provide ok": 1, "kdht_operations_total get_value not_found": 1,
		"kdht_operation_duration_seconds put_value_count": 1, "kdht_operation_hops put_value_count": 1, "kdht_operation_requests put_value_sum": 4,
		"kdht_requests_out_total ok PUT_VALUE": 2, "kdht_requests_out_total ok ADD_PROVIDER": 2, "kdht_records value": 1,
		"kdht_records providing": 1, "kdht_operations_active": 0,
	} {
		if after[name] != n {
			t.Errorf("%s is %v, want %v", name, after[name], n)
		}
	}
	if n := after["kdht_value_bytes"]; n < float64(len(value)) {
		t.Errorf("a value has %v bytes", n)
	}
	for name, n := range map[string]float64{
		"kdht_requests_in_total served PUT_VALUE": 1, "kdht_request_in_duration_seconds PUT_VALUE_count": 1, "kdht_records provider": 1, "kdht_operations_total put_value ok": 0,
	} {
		if other[name] != n {
			t.Errorf("%s of another is %v, want %v", name, other[name], n)
		}
	}
	if other["kdht_request_in_duration_seconds PUT_VALUE_sum"] <= 0 || other["kdht_request_in_bytes_total PUT_VALUE"] <= 0 || other["kdht_answer_out_bytes_total PUT_VALUE"] <= 0 {
		t.Errorf("a request has taken no time or had no bytes: %v", other)
	}
	for name, n := range before {
		if strings.HasSuffix(name, "_total") && after[name] < n {
			t.Errorf("%s fell from %v to %v", name, n, after[name])
		}
	}
	if len(after) > 600 {
		t.Errorf("%d series of one DHT", len(after))
	}
}

// Many DHTs share a registerer; what is closed leaves it, and may come back.
func TestRegistererIsShared(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := loopback(t)
	for range 2 {
		trace := metrics.Prometheus(reg)
		var cfg, lan routing.Config
		cfg.Trace, lan.Trace = []*routing.Trace{trace}, []*routing.Trace{trace}
		lan.Protocol = "/lan/kad/1.0.0"
		d, err := routing.New(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		beside, err := routing.New(h, lan)
		if err != nil {
			t.Fatal(err)
		}
		if len(scrape(t, reg, d)) == 0 || len(scrape(t, reg, beside)) == 0 {
			t.Error("one of two networks of a host is not counted")
		}
		if err := errors.Join(d.Close(), beside.Close()); err != nil {
			t.Error(err)
		}
		if left := scrape(t, reg, d); len(left) != 0 {
			t.Errorf("after its end: %v", left)
		}
	}
	// Twice the same is told, and leaves the first as it is.
	twice := routing.Config{}
	twice.Trace = []*routing.Trace{metrics.Prometheus(reg), metrics.Prometheus(reg)}
	if d, err := routing.New(h, twice); err == nil || !strings.Contains(err.Error(), "another registerer") {
		t.Errorf("%v, %v", d, err)
	}
	if families, err := reg.Gather(); err != nil || len(families) != 0 {
		t.Errorf("a DHT that did not start has left %d metrics (%v)", len(families), err)
	}
}
