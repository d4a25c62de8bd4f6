package live

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	core "github.com/libp2p/go-libp2p/core/routing"
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
	var options []core.Option
	if r.Republish {
		options = append(options, routing.Republish())
	}
	report, err := n.observed(ctx, w, func(ctx context.Context) error {
		return n.router.PutValue(routing.Thorough(ctx), key, value, options...)
	})
	if err != nil {
		if errors.Is(err, routing.ErrNoPeers) {
			err = control.Errorf(control.NoPeers, "kept on this node only, under %s: %s", input.ShowKey([]byte(key)), why(err))
		}
		return nil, failure(n.refusal(key, err), report)
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
	report, err := n.observed(ctx, w, func(ctx context.Context) (err error) {
		value, err = n.router.GetValue(ctx, string(r.Key), routing.Quorum(max(0, r.Quorum)))
		return err
	})
	if errors.Is(err, routing.ErrNotFound) {
		err = control.Errorf(control.NotFound, "not found: nobody near it holds %s; is the key complete, and has it been put within 48 h?", input.ShowKey(r.Key))
	}
	if err != nil {
		return nil, failure(n.refusal(string(r.Key), err), report)
	}
	return &control.Value{Value: value, Report: report}, nil
}

// refusal says what else to do where the store's own words are for programmers.
func (n *Node) refusal(key string, err error) error {
	shown := input.ShowKey([]byte(key))
	switch {
	case errors.Is(err, store.ErrNamespace) && n.cfg.Network.IPFS():
		return control.Errorf(control.Usage, "in this network nobody keeps %s: keys begin with /ipns/<peer id> (signed records) or /pk/<peer id> (public keys)", shown)
	case errors.Is(err, store.ErrNamespace):
		return control.Errorf(control.Usage, "nobody here knows what is valid under %s: keys begin with /imm/ (`kdht put FILE`), /mut/ (`kdht put --mut NAME`) or /pk/", shown)
	case errors.Is(err, routing.ErrNotStored):
		return control.Errorf(control.Failed, "no other node took the value; it is kept on this node only, under %s", shown)
	case errors.Is(err, store.ErrOld):
		return control.Errorf(control.Failed, "a newer value is stored under %s: nothing was changed", shown)
	case errors.Is(err, store.ErrInvalid) && strings.HasPrefix(key, "/imm/"):
		return control.Errorf(control.Usage, "%s is not the key of this value: put it without a key, and its own is made and printed", shown)
	case errors.Is(err, store.ErrInvalid) && strings.HasPrefix(key, "/mut/"):
		return control.Errorf(control.Usage, "the value is not signed for %s: only the peer in the key can, with `kdht put --mut NAME`", shown)
	}
	return err
}
