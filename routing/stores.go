package routing

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/keystore"
)

const (
	// sweepPeriod is how often the stores are asked whether anything has expired;
	// their validities are hours.
	sweepPeriod = time.Minute
	// renewPeriod is when our own provider records are stored here again, before
	// they expire after 48 h.
	renewPeriod = 22 * time.Hour
)

// holdings is what a DHT keeps: for others, and for itself over restarts.
type holdings struct {
	values       store.Values    // nil if switched off
	providers    store.Providers // nil if switched off
	provided     provided
	resumption   resumption
	publications publications
	stock        stock // the loop's
	kept         ownKeys
}

// openStores opens the stores that are not switched off or given.
func (d *DHT) openStores() {
	self := keyspace.KeyOfString(string(d.transport.ID()))
	given := d.cfg.Stores
	if !d.cfg.DisableValues {
		d.values = given.Values
		if d.values == nil {
			d.values = store.NewValues(store.NewMemory(), careful{d.cfg.Validator}, store.ValuesConfig{
				Self: self, MaxAge: given.MaxAge, MaxValue: given.MaxValue,
			})
		}
		if d.publications.kv = given.Own; d.publications.kv == nil {
			d.publications.kv = store.NewMemory()
		}
	}
	if !d.cfg.DisableProviders {
		d.providers = given.Providers
		if d.providers == nil {
			d.providers = store.NewProviders(store.ProvidersConfig{Self: self, Seed: rand.Uint64()})
		}
		d.kept.dht, d.kept.store = d, given.Keys
		if d.kept.store == nil {
			d.kept.store = keystore.New()
		}
	}
}

func (d *DHT) closeStores() error {
	var errs []error
	if d.values != nil {
		errs = append(errs, d.values.Close())
	}
	if d.publications.kv != nil {
		errs = append(errs, d.publications.kv.Close())
	}
	if d.providers != nil {
		errs = append(errs, d.providers.Close(), d.kept.store.Close())
	}
	return errors.Join(errs...)
}

// keepStores lets the stores forget what has expired. It is a goroutine of its
// own since a store may wait for a disk.
func (d *DHT) keepStores() {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.sweep(d.loop.now())
		case <-d.ctx.Done():
			return
		}
	}
}

// sweep advances both stores and renews our own provider records.
func (d *DHT) sweep(now time.Time) {
	if d.values != nil && due(d.values.NextDeadline(), now) {
		d.values.Advance(now)
	}
	if d.providers == nil {
		return
	}
	for i := 0; i < 64 && due(d.providers.NextDeadline(), now); i++ {
		d.providers.Advance(now)
	}
	for _, key := range d.provided.due(now.Add(-renewPeriod)) {
		if d.provideHere(now, []byte(key)) == nil {
			d.provided.set(key, now)
		}
	}
}

// provideHere notes in our own store that we provide key. Our addresses are not
// stored: answers carry the present ones.
func (d *DHT) provideHere(now time.Time, key []byte) error {
	return d.providers.Add(now, key, protocol.Peer{ID: []byte(d.transport.ID())})
}

// provided is what we provide and do not announce, with the time of the record in our own
// store.
type provided struct {
	mu   sync.Mutex
	keys map[string]time.Time
}

func (p *provided) set(key string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = make(map[string]time.Time)
	}
	p.keys[key] = now
}

func (p *provided) remove(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, key)
}

func (p *provided) has(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, there := p.keys[key]
	return there
}

// due returns the keys whose records are not younger than limit.
func (p *provided) due(limit time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []string
	for key, at := range p.keys {
		if !at.After(limit) {
			keys = append(keys, key)
		}
	}
	return keys
}
