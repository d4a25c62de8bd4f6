// Package metrics counts in Prometheus what DHTs do:
//
//	dht, err := kdht.New(h, kdht.Traced(metrics.Prometheus(nil)))
//
// Most of it a DHT counts anyhow, and it is read when somebody scrapes; only operations
// are added up as they end. Each series has the labels network, the protocol id, and
// peer, our own id, so that any number of DHTs can share a registerer. What there is
// stands in docs/OPERATIONS.md.
//
// It is a package of its own because it links Prometheus's client: who does not import it
// does not link that.
//
// The invariant: how many series there are depends on nothing that other peers do.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kdht/kdht/routing"
	"github.com/prometheus/client_golang/prometheus"
)

// Prometheus returns a Trace that registers the metrics of each DHT that it is told of
// with reg (nil: the default registerer), and takes them out when the DHT is closed. A
// DHT whose metrics are there already does not start.
func Prometheus(reg prometheus.Registerer) *routing.Trace {
	if reg == nil {
		reg = prometheus.DefaultRegisterer
	}
	r := &registered{reg: reg, byDHT: make(map[*routing.DHT]*collector)}
	return &routing.Trace{Started: r.started, Closed: r.closed, Ended: r.ended}
}

// registered is the DHTs whose metrics are registered.
type registered struct {
	reg prometheus.Registerer

	mu    sync.RWMutex
	byDHT map[*routing.DHT]*collector
}

func (r *registered) started(d *routing.DHT) error {
	c := newCollector(d)
	if err := r.reg.Register(c); err != nil {
		var there prometheus.AlreadyRegisteredError
		if errors.As(err, &there) {
			return fmt.Errorf("kdht: metrics of %s in %s are registered already: close the DHT that they are of, or give this one another registerer", d.ID(), d.Protocol())
		}
		return fmt.Errorf("kdht: metrics cannot be registered: %w; give another registerer", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byDHT[d] = c
	return nil
}

func (r *registered) closed(d *routing.DHT) {
	r.mu.Lock()
	c := r.byDHT[d]
	delete(r.byDHT, d)
	r.mu.Unlock()
	if c != nil {
		r.reg.Unregister(c)
	}
}

func (r *registered) ended(_ context.Context, op *routing.Operation, rep routing.Report, err error) {
	r.mu.RLock()
	c := r.byDHT[op.DHT]
	r.mu.RUnlock()
	if c != nil {
		c.operations.add(op.Kind, rep, err)
	}
}
