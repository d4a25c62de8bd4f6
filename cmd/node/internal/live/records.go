package live

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	record "github.com/libp2p/go-libp2p-record"
)

// maxNamespaces bounds how many namespaces are counted apart.
const maxNamespaces = 100

// Records implements control.Keeper.
func (n *Node) Records(ctx context.Context) (*control.Records, error) {
	s := n.dht.Stats()
	r := &control.Records{
		Dir: n.stores.Dir, Values: s.Stored.Values, Bytes: s.Stored.ValueBytes, Namespaces: []control.Namespace{}, Providers: s.Stored.Providers,
		Publishing: s.Stored.Publishing, Snapshot: s.Snapshot.Saved, Disk: n.stores.Disk(),
	}
	err := n.values(ctx, func(rec protocol.Record, age, left time.Duration) {
		name, _, err := record.SplitKey(string(rec.Key))
		if err != nil {
			name = "?"
		}
		i := slices.IndexFunc(r.Namespaces, func(c control.Namespace) bool { return c.Name == name })
		if i < 0 && len(r.Namespaces) < maxNamespaces {
			i = len(r.Namespaces)
			r.Namespaces = append(r.Namespaces, control.Namespace{Name: name, Next: left.Seconds()})
		}
		if i < 0 {
			return
		}
		of := &r.Namespaces[i]
		of.Values++
		of.Bytes += int64(len(rec.Key) + len(rec.Value))
		of.Oldest = max(of.Oldest, age.Seconds())
		of.Next = min(of.Next, left.Seconds())
	})
	slices.SortFunc(r.Namespaces, func(a, b control.Namespace) int { return strings.Compare(a.Name, b.Name) })
	return r, err
}

// values calls f for every value kept, until ctx ends.
func (n *Node) values(ctx context.Context, f func(rec protocol.Record, age, left time.Duration)) error {
	var first, last keyspace.Key
	for i := range last {
		last[i] = 0xff
	}
	err := n.stores.Values.Range(time.Now(), first, last, func(rec protocol.Record, age, left time.Duration) bool {
		f(rec, age, left)
		return ctx.Err() == nil
	})
	return classify(errors.Join(err, ctx.Err()))
}

// Export implements control.Keeper.
func (n *Node) Export(ctx context.Context, w control.Watch) (*control.Exported, error) {
	out := &control.Exported{}
	err := n.values(ctx, func(rec protocol.Record, age, left time.Duration) {
		r := asRecord(rec, age, left)
		w(control.Event{Record: &r})
		out.Count++
	})
	return out, err
}

func asRecord(rec protocol.Record, age, left time.Duration) control.Record {
	r := control.Record{Key: rec.Key, Value: rec.Value, Age: age.Seconds(), Left: left.Seconds()}
	if shown := input.ShowKey(rec.Key); utf8.Valid(rec.Key) || !strings.ContainsRune(shown, utf8.RuneError) {
		r.Name = shown
	}
	return r
}

// Import implements control.Keeper.
func (n *Node) Import(_ context.Context, r control.Record) (*control.Imported, error) {
	rec := protocol.Record{Key: r.Key, Value: r.Value}
	if r.Left > 0 {
		rec = rec.WithTTL(time.Duration(min(r.Left, 1e9) * float64(time.Second)))
	}
	err := n.stores.Values.Put(time.Now(), rec)
	switch {
	case err == nil:
		return &control.Imported{Taken: true}, nil
	case errors.Is(err, store.ErrOld), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrNamespace), errors.Is(err, store.ErrFull):
		return &control.Imported{Why: control.Line(err)}, nil
	}
	return nil, classify(err)
}

// Local implements control.Keeper.
func (n *Node) Local(_ context.Context, r control.KeyRequest) (*control.Record, error) {
	at := keyspace.KeyOf(r.Key)
	var found *control.Record
	err := n.stores.Values.Range(time.Now(), at, at, func(rec protocol.Record, age, left time.Duration) bool {
		if bytes.Equal(rec.Key, r.Key) {
			out := asRecord(rec, age, left)
			found = &out
		}
		return false
	})
	if err == nil && found == nil {
		return nil, control.Errorf(control.NotFound, "this node keeps no value under %s; `kdht get` asks the others as well", input.ShowKey(r.Key))
	}
	return found, classify(err)
}

// Drop implements control.Keeper.
func (n *Node) Drop(_ context.Context, r control.KeyRequest) (*control.Dropped, error) {
	held, err := n.stores.Values.Remove(time.Now(), r.Key)
	if err == nil {
		err = n.router.StopRepublishing(string(r.Key))
	}
	return &control.Dropped{Held: held}, classify(err)
}

// Backup implements control.Keeper.
func (n *Node) Backup(_ context.Context, r control.BackupRequest) (*control.BackedUp, error) {
	if !filepath.IsAbs(r.Dir) {
		return nil, control.Errorf(control.Usage, "%.100q is no absolute path: the node may run in another directory", r.Dir)
	}
	if err := n.stores.Backup(r.Dir); err != nil {
		return nil, classify(err)
	}
	return &control.BackedUp{Dir: r.Dir, Values: n.stores.Values.Len()}, nil
}

// Joining reports whether there is anybody to join through: bootstrap peers, or those
// of the last run.
func (n *Node) Joining() bool { return len(n.cfg.Bootstrap) > 0 || n.dht.Stats().Snapshot.Loaded > 0 }

// Resumed returns why the routing table of the last run, or what it put again, was not
// taken over, nil if all was.
func (n *Node) Resumed() error {
	for _, d := range n.dhts() {
		s := d.Stats()
		if err := cmp.Or(s.Stored.PublishErr, s.Snapshot.Err); err != nil {
			return control.Errorf(control.Failed, "%s", control.Line(err))
		}
	}
	return nil
}
