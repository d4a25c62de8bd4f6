package metrics

import (
	"context"
	"errors"

	"github.com/kdht/kdht/routing"
	"github.com/prometheus/client_golang/prometheus"
)

// operations adds up the operations of one DHT as they end.
type operations struct {
	results  *prometheus.CounterVec
	duration *prometheus.HistogramVec
	hops     *prometheus.HistogramVec
	requests *prometheus.HistogramVec
}

func newOperations(own prometheus.Labels) *operations {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, ConstLabels: own}, []string{"operation"})
	}
	return &operations{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kdht_operations_total", Help: "Operations that asked other peers, by how they ended.", ConstLabels: own,
		}, []string{"operation", "result"}),
		duration: histogram("kdht_operation_duration_seconds", "How long operations took.", []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}),
		hops:     histogram("kdht_operation_hops", "Requests on the chain of referrals that led to the result.", []float64{0, 1, 2, 3, 4, 5, 6, 8, 12}),
		requests: histogram("kdht_operation_requests", "Requests that an operation sent.", []float64{0, 1, 3, 5, 10, 20, 30, 50, 100, 200}),
	}
}

func (o *operations) all() []prometheus.Collector {
	return []prometheus.Collector{o.results, o.duration, o.hops, o.requests}
}

func (o *operations) add(kind routing.OperationKind, r routing.Report, err error) {
	of := string(kind)
	o.results.WithLabelValues(of, resultOf(err)).Inc()
	o.duration.WithLabelValues(of).Observe(r.Duration.Seconds())
	o.hops.WithLabelValues(of).Observe(float64(r.Hops))
	o.requests.WithLabelValues(of).Observe(float64(r.Asked))
}

// resultOf says in a word how an operation ended.
func resultOf(err error) string {
	for _, of := range []struct {
		err  error
		name string
	}{
		{routing.ErrNotFound, "not_found"},
		{routing.ErrNoPeers, "no_peers"},
		{routing.ErrNotStored, "not_stored"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
		{routing.ErrClosed, "canceled"},
	} {
		if errors.Is(err, of.err) {
			return of.name
		}
	}
	if err != nil {
		return "failed"
	}
	return "ok"
}
