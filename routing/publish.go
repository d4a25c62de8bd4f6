package routing

import (
	"bytes"
	varint "encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store"
	core "github.com/libp2p/go-libp2p/core/routing"
)

type republishKey struct{}

// Republish makes PutValue keep the value stored: it is put again every 22 h
// (Timing.Republish), over restarts too if Stores.Own outlives them, until
// StopRepublishing, or until it is not valid any more.
func Republish() core.Option {
	return func(o *core.Options) error {
		if o.Other == nil {
			o.Other = make(map[any]any)
		}
		o.Other[republishKey{}] = true
		return nil
	}
}

// ownVersion begins every own value as it is kept.
const ownVersion = 1

// publications are the values that we keep published, in a KV of their own: what
// others put into the store of values cannot push them out.
type publications struct {
	kv     store.KV
	mu     sync.Mutex // orders changes
	failed error      // why they could not be read at the start
}

// appendOwn appends the form in which a KV keeps an own value: the version, when it
// was published last in seconds since 1970, the key after its length, the value.
func appendOwn(b []byte, last time.Time, rec *protocol.Record) []byte {
	b = varint.BigEndian.AppendUint64(append(b, ownVersion), uint64(last.Unix()))
	b = append(varint.AppendUvarint(b, uint64(len(rec.Key))), rec.Key...)
	return append(b, rec.Value...)
}

// parseOwn reads what appendOwn wrote. The record borrows from b.
func parseOwn(b []byte) (rec protocol.Record, last time.Time, ok bool) {
	if len(b) < 9 || b[0] != ownVersion {
		return rec, last, false
	}
	last = time.Unix(int64(varint.BigEndian.Uint64(b[1:9])&(1<<40-1)), 0)
	n, used := varint.Uvarint(b[9:])
	if used <= 0 || n > uint64(len(b)-9-used) || n > protocol.MaxValueKey {
		return rec, last, false
	}
	b = b[9+used:]
	return protocol.Record{Key: b[:n:n], Value: b[n:]}, last, true
}

// publish keeps rec published from now on, first again after so long.
func (d *DHT) publish(rec protocol.Record, first time.Duration) error {
	p := &d.publications
	p.mu.Lock()
	defer p.mu.Unlock()
	key := keyspace.KeyOf(rec.Key)
	err := p.kv.Put(key, appendOwn(nil, time.Now(), &rec))
	if err == nil {
		err = p.kv.Sync()
	}
	if err == nil {
		err = d.startPublishing(rec.Key, first)
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("kdht: the value is stored, but cannot be kept published: %w", err)
	}
	return err
}

func (d *DHT) startPublishing(key []byte, first time.Duration) error {
	key = bytes.Clone(key)
	started, err := ask(d.loop, func(now time.Time) error { return d.loop.node.StartPublishing(now, key, first) })
	return errors.Join(started, err)
}

// StopRepublishing puts the value under key again no longer: what others hold
// expires within 48 h. It is no error if it was not kept published.
func (d *DHT) StopRepublishing(key string) error {
	if d.values == nil {
		return errValuesOff
	}
	if err := d.loop.post(func(time.Time) { d.loop.node.StopPublishing([]byte(key)) }); err != nil {
		return err
	}
	return d.publications.drop([]byte(key))
}

// failure returns why nothing of an earlier run is put again, nil if it is.
func (p *publications) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *publications) drop(key []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.kv.Delete(keyspace.KeyOf(key))
	if err == nil {
		err = p.kv.Sync()
	}
	return err
}

// resumePublishing takes up again what an earlier run kept published. What has
// become due meanwhile waits for half a minute, in which the table fills. It holds the
// lock that its caller has taken.
func (d *DHT) resumePublishing() {
	defer d.publications.mu.Unlock()
	period := d.loop.node.Timing().Republish
	now := time.Now()
	_, last := wholeKeyspace()
	err := d.publications.kv.Range(keyspace.Key{}, last, func(_ keyspace.Key, b []byte) bool {
		rec, published, ok := parseOwn(b)
		if !ok {
			return true // damaged, or of a newer version: left as it is
		}
		first := min(max(published.Add(period).Sub(now), 30*time.Second), max(period, 30*time.Second))
		return d.startPublishing(rec.Key, first) == nil
	})
	if err != nil && d.ctx.Err() == nil {
		d.publications.failed = fmt.Errorf("kdht: reading what is to be put again: %w", err)
	}
}

func wholeKeyspace() (first, last keyspace.Key) {
	for i := range last {
		last[i] = 0xff
	}
	return first, last
}

// own returns what is to be put again under key now: our own value, or a better one
// that has come in since. It is stored here once more, which refreshes its age.
func (d *DHT) own(now time.Time, key []byte) (held []kademlia.Held, err error) {
	for range 3 { // the owner may put another meanwhile, which counts
		held, err = d.tryOwn(now, key)
		if !errors.Is(err, errRenewed) {
			break
		}
	}
	return held, err
}

// errRenewed says that the owner has put another value while one was looked at.
var errRenewed = errors.New("kdht: the value was replaced while it was to be put again; the new one is put when its turn comes")

func (d *DHT) tryOwn(now time.Time, key []byte) (held []kademlia.Held, err error) {
	p := &d.publications
	at := keyspace.KeyOf(key)
	b, found, err := p.kv.Get(at)
	if err != nil || !found {
		return nil, err
	}
	seen := bytes.Clone(b)
	rec, _, ok := parseOwn(seen)
	if !ok || !bytes.Equal(rec.Key, key) {
		return nil, nil
	}
	rec = rec.Clone()
	rules := careful{d.cfg.Validator}
	if stored, there, err := d.values.Get(now, key); err == nil && there && rules.Validate(string(key), stored.Value) == nil {
		if best, err := rules.Select(string(key), [][]byte{rec.Value, stored.Value}); err == nil && best == 1 {
			rec.Value = stored.Value
		}
	}
	if rules.Validate(string(key), rec.Value) != nil {
		return nil, p.replace(at, seen, nil) // a signed value whose time is over
	}
	_ = d.keep(now, rec)
	if err := p.replace(at, seen, appendOwn(nil, time.Now(), &rec)); err != nil {
		return nil, err
	}
	rec.TimeReceived = now.UTC().AppendFormat(nil, time.RFC3339Nano)
	return []kademlia.Held{{Record: rec}}, nil
}

// replace puts b where seen is, or nothing if b is nil; it is errRenewed if something else
// is there by now, or nothing: its owner has put another or has stopped.
func (p *publications) replace(at keyspace.Key, seen, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch there, _, err := p.kv.Get(at); {
	case err != nil:
		return err
	case !bytes.Equal(there, seen):
		return errRenewed
	case b != nil:
		return p.kv.Put(at, b)
	}
	if err := p.kv.Delete(at); err != nil {
		return err
	}
	return p.kv.Sync()
}
