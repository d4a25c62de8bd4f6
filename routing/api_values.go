package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store"
	record "github.com/libp2p/go-libp2p-record"
	core "github.com/libp2p/go-libp2p/core/routing"
)

type quorumKey struct{}

// Quorum makes GetValue and SearchValue end when exactly n valid values, equal or
// not, have come in, our own included; 0, the default, asks all k nearest peers.
func Quorum(n int) core.Option {
	return func(o *core.Options) error {
		if n < 0 {
			return fmt.Errorf("kdht: a quorum of %d is not possible: give 0 for all, or how many values are enough", n)
		}
		if o.Other == nil {
			o.Other = make(map[any]any)
		}
		o.Other[quorumKey{}] = n
		return nil
	}
}

// QuorumOf returns what Quorum among these options says, 0 if none does.
func QuorumOf(opts ...core.Option) (int, error) {
	var o core.Options
	err := o.Apply(opts...)
	n, _ := o.Other[quorumKey{}].(int)
	return n, err
}

// valueChoice is what options say of a value operation.
type valueChoice struct {
	quorum             int
	offline, republish bool
}

// valueOptions applies the options of a value operation.
func (d *DHT) valueOptions(key string, opts []core.Option) (chosen valueChoice, err error) {
	if d.values == nil {
		return chosen, errValuesOff
	}
	var o core.Options
	if err := o.Apply(opts...); err != nil {
		return chosen, err
	}
	switch {
	case key == "":
		return chosen, errors.New("kdht: the key is empty: write it as /namespace/name")
	case len(key) > protocol.MaxValueKey:
		return chosen, fmt.Errorf("kdht: the key has %d bytes, and no peer takes more than %d: shorten it, or name the record by a hash", len(key), protocol.MaxValueKey)
	}
	chosen.quorum, _ = o.Other[quorumKey{}].(int)
	chosen.republish, _ = o.Other[republishKey{}].(bool)
	chosen.offline = o.Offline
	return chosen, nil
}

// PutValue stores value under key on the k peers nearest to it, and here. It is
// refused if it is invalid or if a better value is stored here. The error wraps
// ErrNoPeers or ErrNotStored if no other peer holds it now; then only our own
// store does. It returns as soon as half of the k hold it; the others are given it
// meanwhile (WithFinalReport, Thorough). With routing.Offline it is stored here alone. With Republish it is put
// again, soon if nobody took it.
func (d *DHT) PutValue(ctx context.Context, key string, value []byte, opts ...core.Option) (err error) {
	s := d.storing(ctx)
	defer s.end(&err)
	chosen, err := d.valueOptions(key, opts)
	if err != nil {
		return err
	}
	rec := protocol.Record{Key: []byte(key), Value: bytes.Clone(value)}
	now := d.loop.now()
	err = d.keep(now, rec)
	if chosen.offline || err != nil && !errors.Is(err, store.ErrFull) { // others may have room
		return outcome(ctx, err)
	}
	rec.TimeReceived = now.UTC().AppendFormat(nil, time.RFC3339Nano)
	err = s.run(ctx, OpPutValue, rec.Key, func(now time.Time, n *kademlia.Node, _ *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		return n.Store(now, rec, done)
	})
	if chosen.republish {
		err = errors.Join(err, d.publish(rec, d.nextPut(err)))
	}
	return aloneWith("value", err)
}

// nextPut is how long after a put that ended with err the next one is due.
func (d *DHT) nextPut(err error) time.Duration {
	timing := d.loop.node.Timing()
	if err != nil {
		return timing.Retry
	}
	return timing.Republish
}

// aloneWith says of an error that the record is nowhere but here.
func aloneWith(what string, err error) error {
	if errors.Is(err, ErrNoPeers) || errors.Is(err, ErrNotStored) {
		return fmt.Errorf("kdht: the %s is kept on this node only: %w", what, err)
	}
	return err
}

// GetValue returns the best value stored under key. The error is ErrNotFound if
// nobody near the key has a valid one. When ctx ends before the search does, the
// best value so far comes with ctx's error. See Quorum; with routing.Offline
// only our own store is looked at.
func (d *DHT) GetValue(ctx context.Context, key string, opts ...core.Option) ([]byte, error) {
	FillReport(ctx, Report{})
	s, err := d.valueSearch(key, opts)
	if err != nil {
		return nil, err
	}
	return s.run(ctx, nil)
}

// SearchValue is GetValue for those who want a value now and better ones as they
// are found: each value sent is better than those before. The channel is closed
// when the search is over or ctx ends, and without a value if there is none.
func (d *DHT) SearchValue(ctx context.Context, key string, opts ...core.Option) (<-chan []byte, error) {
	FillReport(ctx, Report{})
	s, err := d.valueSearch(key, opts)
	if err != nil {
		return nil, err
	}
	out := make(chan []byte, 1)
	started := d.spawn(func() {
		defer close(out)
		within, cancel := d.within(ctx)
		defer cancel()
		_, _ = s.run(within, func(value []byte) {
			select {
			case out <- value:
			case <-within.Done():
			}
		})
	})
	if !started {
		return nil, ErrClosed
	}
	return out, nil
}

// valueSearch is one search for a value.
type valueSearch struct {
	dht     *DHT
	key     string
	quorum  int
	offline bool
	local   []byte // valid value of our own store, nil if none
}

func (d *DHT) valueSearch(key string, opts []core.Option) (*valueSearch, error) {
	chosen, err := d.valueOptions(key, opts)
	if err != nil {
		return nil, err
	}
	if err := d.checkNamespace(key); err != nil {
		return nil, err
	}
	rec, found, err := d.values.Get(d.loop.now(), []byte(key))
	if errors.Is(err, store.ErrClosed) {
		return nil, ErrClosed
	}
	found = found && err == nil // a broken store of our own need not stop us asking others
	s := &valueSearch{dht: d, key: key, quorum: chosen.quorum, offline: chosen.offline}
	if found && (careful{d.cfg.Validator}).Validate(key, rec.Value) == nil {
		s.local = rec.Value
		if s.local == nil {
			s.local = []byte{}
		}
	}
	return s, nil
}

// Validator returns the rules that values are judged by; one that panics has
// refused.
func (d *DHT) Validator() record.Validator { return careful{d.cfg.Validator} }

// checkNamespace refuses keys of namespaces that no rules are registered for, as
// far as the validator can be asked that: no rules are called, which may not be
// made for being asked without a value.
func (d *DHT) checkNamespace(key string) error {
	namespace, _, err := record.SplitKey(key)
	switch rules := d.cfg.Validator.(type) {
	case store.Namespaces:
		if err != nil || rules[namespace] == nil {
			return unsupported{rules.Validate(key, nil)} // says which there are
		}
	case record.NamespacedValidator:
		if err != nil || rules[namespace] == nil {
			return unsupported{fmt.Errorf("kdht: the validator given knows no namespace of key %q: register one with kdht.NamespacedValidator", key)}
		}
	}
	return nil
}

// keep puts a record into our own store, on the caller's goroutine, which a store
// or validator that panics is not to end.
func (d *DHT) keep(now time.Time, rec protocol.Record) (err error) {
	defer recovered("store of values", &err)
	return d.values.Put(now, rec)
}

// run searches, tells better each better value, on this goroutine, and corrects
// our own store if it had a worse one.
func (s *valueSearch) run(ctx context.Context, better func([]byte)) ([]byte, error) {
	if s.offline {
		if s.local == nil {
			return nil, ErrNotFound
		}
		if better != nil {
			better(s.local)
		}
		return s.local, nil
	}
	r, err := s.dht.run(ctx, OpGetValue, []byte(s.key), func(now time.Time, n *kademlia.Node, op *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		return n.FindValue(now, []byte(s.key), kademlia.ValueOptions{Quorum: s.quorum, Local: s.local, Found: op.foundValue(better)}, done)
	})
	if s.local != nil && r.Value != nil && !bytes.Equal(s.local, r.Value) {
		_ = s.dht.keep(s.dht.loop.now(), protocol.Record{Key: []byte(s.key), Value: r.Value})
	}
	return r.Value, err
}

// foundValue returns what is told each better value on the loop.
func (op *operation) foundValue(better func([]byte)) func([]byte, *kademlia.Contact) {
	return func(value []byte, from *kademlia.Contact) {
		op.tell(func() {
			ev := core.QueryEvent{Type: core.Value, ID: op.dht.transport.ID()}
			if from != nil {
				ev.ID = from.ID
			}
			publish(op.ctx, ev)
			if better != nil {
				better(bytes.Clone(value))
			}
		})
	}
}
