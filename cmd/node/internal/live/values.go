package live

import (
	"context"
	"errors"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
)

// defaultValidFor is how long a signed value holds unless told otherwise.
const defaultValidFor = 48 * time.Hour

// Put implements control.Node.
func (n *Node) Put(ctx context.Context, r control.PutRequest, w control.Watch) (*control.Stored, error) {
	key, value, err := n.sealed(r)
	if err != nil {
		return nil, err
	}
	if len(value) > protocol.MaxValue {
		return nil, tooLarge(len(value))
	}
	report, err := observed(ctx, w, func(ctx context.Context) error { return n.dht.PutValue(ctx, key, value) })
	if errors.Is(err, store.ErrOld) {
		err = control.Errorf(control.Failed, "a newer value is stored under %s: nothing was changed", input.ShowKey([]byte(key)))
	}
	if err != nil {
		return nil, failure(err, report)
	}
	return &control.Stored{Key: []byte(key), Report: report}, nil
}

// sealed returns what is to be stored: as it was given, or signed.
func (n *Node) sealed(r control.PutRequest) (key string, value []byte, err error) {
	switch {
	case r.Mut != "" && len(r.Key) > 0:
		return "", nil, control.Errorf(control.Usage, "both a key and a name are given: give one")
	case r.Mut == "" && len(r.Key) == 0:
		return store.ImmKey(r.Value), r.Value, nil
	case r.Mut == "":
		return string(r.Key), r.Value, nil
	case n.cfg.Signer == nil:
		return "", nil, control.Errorf(control.Usage, "this node has no key to sign with: give --sign-with FILE")
	}
	if r.ValidFor <= 0 {
		r.ValidFor = defaultValidFor
	}
	// The time as sequence makes each value newer than those before, on whatever
	// machine the key is used.
	now := time.Now()
	key, value, err = store.SealMut(n.cfg.Signer, r.Mut, uint64(now.UnixMicro()), now.Add(r.ValidFor), r.Value)
	return key, value, classify(err)
}

// Get implements control.Node.
func (n *Node) Get(ctx context.Context, r control.GetRequest, w control.Watch) (*control.Value, error) {
	var value []byte
	report, err := observed(ctx, w, func(ctx context.Context) (err error) {
		value, err = n.dht.GetValue(ctx, string(r.Key), routing.Quorum(max(0, r.Quorum)))
		return err
	})
	if errors.Is(err, routing.ErrNotFound) {
		err = control.Errorf(control.NotFound, "nobody asked (%d peers) holds %s: is the key complete, and is its publisher's network this one?",
			report.Answered, input.ShowKey(r.Key))
	}
	if err != nil {
		return nil, failure(err, report)
	}
	return &control.Value{Value: value, Report: report}, nil
}
