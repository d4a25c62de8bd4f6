package metrics

import (
	"strconv"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
	"github.com/prometheus/client_golang/prometheus"
)

// collector is one DHT's metrics.
type collector struct {
	dht        *routing.DHT
	descs      map[string]*prometheus.Desc
	operations *operations
}

func newCollector(d *routing.DHT) *collector {
	own := prometheus.Labels{"network": string(d.Protocol()), "peer": d.ID().String()}
	c := &collector{dht: d, descs: make(map[string]*prometheus.Desc, len(catalogue)), operations: newOperations(own)}
	for _, m := range catalogue {
		c.descs[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, own)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	for _, o := range c.operations.all() {
		o.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.dht.Stats()
	r := reading{c: c, out: out}
	r.network(&s)
	r.requests(&s)
	r.latencies()
	r.throttle(&s)
	r.streams(&s)
	r.records(&s)
	for _, o := range c.operations.all() {
		o.Collect(out)
	}
}

// reading is one scrape.
type reading struct {
	c   *collector
	out chan<- prometheus.Metric
}

func (r reading) gauge(name string, v float64, labels ...string) {
	r.out <- prometheus.MustNewConstMetric(r.c.descs[name], prometheus.GaugeValue, v, labels...)
}

func (r reading) counter(name string, v uint64, labels ...string) {
	r.seconds(name, float64(v), labels...)
}

// seconds is a counter that is no whole number.
func (r reading) seconds(name string, v float64, labels ...string) {
	r.out <- prometheus.MustNewConstMetric(r.c.descs[name], prometheus.CounterValue, v, labels...)
}

// maxPrefix is the last bucket of the table that is told apart: few tables have one
// beyond it, where it would take a network of 2^maxPrefix times k peers.
const maxPrefix = 24

func (r reading) network(s *routing.Stats) {
	serves := 0.0
	if s.Mode == routing.ModeServer {
		serves = 1
	}
	r.gauge("kdht_server", serves)
	r.gauge("kdht_table_peers", float64(s.Table))
	r.gauge("kdht_connected_peers", float64(s.Connected))
	r.gauge("kdht_speaking_peers", float64(s.Speaking))
	var members, waiting [maxPrefix + 1]int
	for _, b := range r.c.dht.Buckets() {
		i := min(max(b.Prefix, 0), maxPrefix)
		members[i] += len(b.Peers)
		waiting[i] += b.Replacements
	}
	for i := range members {
		prefix := strconv.Itoa(i)
		r.gauge("kdht_table_bucket_peers", float64(members[i]), prefix)
		r.gauge("kdht_table_bucket_replacements", float64(waiting[i]), prefix)
	}
	peers, samples := r.c.dht.NetworkSize()
	r.gauge("kdht_network_size_peers", float64(peers))
	r.gauge("kdht_network_size_samples", float64(samples))
	r.gauge("kdht_operations_active", float64(s.Operations))
	for of, n := range map[string]uint64{
		"hit": s.Cache.Hits, "negative": s.Cache.Negative, "joined": s.Cache.Joined, "begun": s.Cache.Begun, "miss": s.Cache.Misses,
	} {
		r.counter("kdht_lookup_cache_total", n, of)
	}
	r.counter("kdht_lookup_cache_invalidated_total", s.Cache.Invalidated)
	r.gauge("kdht_lookup_cache_keys", float64(s.Cache.Keys))
	r.gauge("kdht_lookup_cache_bytes", float64(s.Cache.Bytes))
}

// typeOf is a type's name as a label; protocol.NumTypes stands for all that have none.
func typeOf(t int) string {
	if t == protocol.NumTypes {
		return "other"
	}
	return protocol.Type(t).String()
}

func (r reading) requests(s *routing.Stats) {
	for t := range protocol.NumTypes + 1 {
		both := [2]rpc.TypeStats{s.Server.Other, s.JSON.Other}
		if t < protocol.NumTypes {
			both = [2]rpc.TypeStats{s.Server.Types[t], s.JSON.Types[t]}
		}
		a, b := &both[0], &both[1]
		for outcome, n := range map[string]uint64{
			"served": a.Served + b.Served, "limited": a.Limited + b.Limited, "shed": a.Shed + b.Shed, "malformed": a.Malformed + b.Malformed,
			"unhandled": a.Unhandled + b.Unhandled, "refused": a.Refused + b.Refused, "failed": a.Failed + b.Failed, "panicked": a.Panicked + b.Panicked,
		} {
			r.counter("kdht_requests_in_total", n, typeOf(t), outcome)
		}
		r.counter("kdht_request_in_bytes_total", a.BytesIn+b.BytesIn, typeOf(t))
		r.counter("kdht_answer_out_bytes_total", a.BytesOut+b.BytesOut, typeOf(t))
	}
	for t, o := range s.Client.Types {
		for outcome, n := range map[string]uint64{
			"ok": o.OK, "unreachable": o.Unreachable, "refused": o.Refused, "timeout": o.Timeout, "unsupported": o.Unsupported,
			"malformed": o.Malformed, "local": o.Local, "canceled": o.Canceled,
		} {
			r.counter("kdht_requests_out_total", n, typeOf(t), outcome)
		}
	}
	r.counter("kdht_request_out_retries_total", s.Client.Retries)
}

// steps is how many of routing.LatencyBounds make one bucket here: three are one and a
// half octaves.
const steps = 3

func (r reading) latencies() {
	all := r.c.dht.Latencies()
	for name, direction := range map[string][protocol.NumTypes]routing.Latency{
		"kdht_request_in_duration_seconds": all.In, "kdht_request_out_duration_seconds": all.Out,
	} {
		for t, l := range direction {
			buckets, count := make(map[float64]uint64), uint64(0)
			for i, n := range l.Steps {
				count += n
				if i%steps == steps-1 && i < len(routing.LatencyBounds) {
					buckets[routing.LatencyBounds[i].Seconds()] = count
				}
			}
			r.out <- prometheus.MustNewConstHistogram(r.c.descs[name], count, l.Sum.Seconds(), buckets, typeOf(t))
		}
	}
}

func (r reading) throttle(s *routing.Stats) {
	l := &s.Limiter
	r.counter("kdht_throttle_admitted_total", l.Admitted)
	r.counter("kdht_throttle_paused_total", l.Paused)
	r.seconds("kdht_throttle_pause_seconds_total", l.Pause.Seconds())
	for by, n := range map[string]uint64{"peer": l.LimitedByPeer, "egress": l.LimitedByEgress, "subnet": l.LimitedBySubnet, "total": l.LimitedInTotal} {
		r.counter("kdht_throttle_refused_total", n, by)
	}
	r.gauge("kdht_throttle_peers", float64(l.Peers))
	r.counter("kdht_throttle_forgotten_total", l.Forgotten)
	q := &s.Load
	r.gauge("kdht_workers", float64(q.Workers))
	r.gauge("kdht_workers_busy", float64(q.Busy))
	r.gauge("kdht_queue_waiting", float64(q.Waiting))
	r.counter("kdht_queue_waited_total", q.Waited)
	for why, n := range map[string]uint64{"peer": q.ShedByPeer, "others": q.ShedForOthers, "late": q.ShedLate} {
		r.counter("kdht_queue_shed_total", n, why)
	}
	r.counter("kdht_queue_overload_total", q.Hasty)
}

func (r reading) streams(s *routing.Stats) {
	in := &s.Inbound
	r.gauge("kdht_streams_in", float64(in.Streams))
	r.gauge("kdht_streams_in_buffered_bytes", float64(in.Buffered))
	r.counter("kdht_streams_in_accepted_total", in.Accepted)
	r.counter("kdht_streams_in_ended_total", in.Ended)
	for why, n := range map[string]uint64{
		"full": in.Refused.Full, "gave_way": in.Refused.GaveWay, "buffers": in.Refused.Buffers, "resources": in.Refused.Resources,
		"silent": in.Refused.Silent, "violation": in.Refused.Violations, "handler": in.Refused.Handler,
	} {
		r.counter("kdht_streams_in_reset_total", n, why)
	}
}

func (r reading) records(s *routing.Stats) {
	for kind, n := range map[string]int{
		"value": s.Stored.Values, "provider": s.Stored.Providers, "providing": s.Stored.Providing, "publishing": s.Stored.Publishing,
	} {
		r.gauge("kdht_records", float64(n), kind)
	}
	r.gauge("kdht_value_bytes", float64(s.Stored.ValueBytes))
	r.gauge("kdht_snapshot_peers", float64(s.Snapshot.Saved))
}
