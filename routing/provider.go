package routing

import (
	"errors"
	"iter"
	"time"

	"github.com/multiformats/go-multihash"
)

// Provider announces many keys and keeps them announced: the interface that IPFS programs
// know as a DHT provider. What is added is kept in Stores.Keys and announced by visits to
// parts of the keyspace, first as soon as can be and then once every 22 hours
// (Timing.Reprovide), whatever their number. All methods return before anything is
// announced; DHT.Stats says how far that is.
type Provider struct{ dht *DHT }

// Provider returns the interface for many keys.
func (d *DHT) Provider() *Provider { return &Provider{d} }

// StartProviding keeps keys announced, from now on and over restarts if Stores.Keys
// outlives them. Keys that are already are announced again at once only if force is set.
func (p *Provider) StartProviding(force bool, keys ...multihash.Multihash) error {
	d := p.dht
	if err := d.keepsAnnounced(); err != nil {
		return err
	}
	now := d.loop.now()
	for _, key := range keys {
		if err := p.add(now, force, key); err != nil {
			return err
		}
	}
	return errors.Join(d.kept.store.Sync(), p.RefreshSchedule())
}

// keepsAnnounced returns why d cannot keep keys announced, nil if it can.
func (d *DHT) keepsAnnounced() error {
	switch {
	case d.kept.store == nil:
		return errProvidersOff
	case d.loop.node.Timing().Reprovide < 0:
		return errNotRepeated
	}
	return nil
}

func (p *Provider) add(now time.Time, force bool, key multihash.Multihash) error {
	d := p.dht
	err := d.provideHere(now, key)
	if err == nil {
		_, err = d.kept.store.Add(key)
	}
	if err == nil && force {
		err = d.kept.store.Ask(key)
	}
	return err
}

// StopProviding announces keys no longer. Others forget the last announcement within 48
// hours.
func (p *Provider) StopProviding(keys ...multihash.Multihash) error {
	d := p.dht
	if d.kept.store == nil {
		return errProvidersOff
	}
	for _, key := range keys {
		if err := d.stopProviding(key); err != nil {
			return err
		}
	}
	return d.kept.store.Sync()
}

// Replace makes keys those that are kept announced, in place of all others: those that
// are there already keep their turn. It returns how many came and went. Nothing is taken
// away before all have been named.
func (p *Provider) Replace(keys iter.Seq[multihash.Multihash]) (added, removed int, err error) {
	if err := p.dht.keepsAnnounced(); err != nil {
		return 0, 0, err
	}
	return p.replace(keys)
}

func (p *Provider) replace(keys iter.Seq[multihash.Multihash]) (added, removed int, err error) {
	d := p.dht
	added, removed, err = d.kept.store.Replace(func(yield func([]byte) bool) {
		for key := range keys {
			if !yield(key) {
				return
			}
		}
	}, func(key []byte) {
		if !d.provided.has(string(key)) {
			d.providers.Remove(key, []byte(d.transport.ID()))
		}
	})
	return added, removed, errors.Join(err, p.RefreshSchedule())
}

// Clear announces nothing any longer, and returns how many keys that were.
func (p *Provider) Clear() int {
	if p.dht.kept.store == nil {
		return 0
	}
	_, removed, _ := p.replace(func(func(multihash.Multihash) bool) {})
	return removed
}

// RefreshSchedule has what is due looked at now.
func (p *Provider) RefreshSchedule() error {
	d := p.dht
	return d.loop.post(func(now time.Time) { d.loop.node.KeysDue(now) })
}
