package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxScrapes bounds the scrapes at a time, scrapeTimeout each of them.
	maxScrapes    = 4
	scrapeTimeout = 10 * time.Second
)

// Metrics is what a node counts for Prometheus: what its DHTs do, what its HTTP server
// does, its disk, and the process.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
}

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kdht_http_requests_total", Help: "HTTP requests by surface and class of status.",
		}, []string{"surface", "status"}),
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Trace has a node's DHTs counted.
func (m *Metrics) Trace() *routing.Trace { return metrics.Prometheus(m.registry) }

// Count is for Config.Count.
func (m *Metrics) Count(s Surface, status int) {
	m.requests.WithLabelValues(s.String(), strconv.Itoa(status/100)+"xx").Inc()
}

// String returns the surface's name.
func (s Surface) String() string { return [...]string{"public", "probe", "admin"}[s] }

// Serve returns what /metrics answers for a node whose files are as state says; nil is one
// that keeps nothing on disk.
func (m *Metrics) Serve(state func() *control.Disk) http.Handler {
	m.registry.MustRegister(disk{state})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout})
}

// disk is how the files of a node are.
type disk struct{ state func() *control.Disk }

var (
	diskUnreadable = prometheus.NewDesc("kdht_disk_unreadable", "Places and files that could not be read since the start.", nil, nil)
	diskLost       = prometheus.NewDesc("kdht_disk_lost", "Records known to be gone since the start.", nil, nil)
	diskSaved      = prometheus.NewDesc("kdht_disk_saved", "Values saved from what was damaged since the start.", nil, nil)
	diskRefused    = prometheus.NewDesc("kdht_disk_refused", "1 while values cannot be written.", nil, nil)
)

// Describe implements prometheus.Collector.
func (disk) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{diskUnreadable, diskLost, diskSaved, diskRefused} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (d disk) Collect(out chan<- prometheus.Metric) {
	state := d.state()
	if state == nil {
		return
	}
	refused := 0.0
	if state.Refused != "" {
		refused = 1
	}
	for desc, v := range map[*prometheus.Desc]float64{
		diskUnreadable: float64(state.Unreadable), diskLost: float64(state.Lost), diskSaved: float64(state.Saved), diskRefused: refused,
	} {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
}
