package routing

import (
	"context"
	"errors"
	"fmt"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// fetchedKey is what one way to a public key has led to: nil if to nothing. The
// report is its own: the other way may go on after the caller has returned.
type fetchedKey struct {
	key    crypto.PubKey
	report Report
}

// GetPublicKey returns a peer's public key: what its id holds or a connection has
// proved, else what the peer itself or the /pk record in the DHT says, whichever
// comes first. The error is ErrNotFound if neither does. A Report tells of the
// lookup of the record, and is empty if the peer itself was faster.
func (d *DHT) GetPublicKey(ctx context.Context, id peer.ID) (crypto.PubKey, error) {
	FillReport(ctx, Report{})
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("kdht: public key: %w", err)
	}
	if key, err := d.transport.PublicKey(id); err == nil {
		return key, nil
	}
	if d.values == nil {
		return nil, errValuesOff
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	keys := make(chan fetchedKey, 2)
	for _, fetch := range []func(context.Context, peer.ID) (crypto.PubKey, error){d.keyFromPeer, d.keyFromRecord} {
		started := d.spawn(func() {
			var f fetchedKey
			key, err := fetch(WithReport(asking, &f.report), id)
			if err == nil {
				f.key = key
			}
			keys <- f
		})
		if !started {
			return nil, ErrClosed
		}
	}
	for range cap(keys) {
		f := <-keys
		if f.report.Duration > 0 || f.report.Asked > 0 {
			FillReport(ctx, f.report)
		}
		if f.key != nil {
			return f.key, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case d.ctx.Err() != nil:
		return nil, ErrClosed
	}
	return nil, ErrNotFound
}

// keyFromPeer asks the peer itself.
func (d *DHT) keyFromPeer(ctx context.Context, id peer.ID) (crypto.PubKey, error) {
	resp, err := d.Ask(ctx, id, &protocol.Message{Type: protocol.GetValue, Key: []byte(core.KeyForPublicKey(id)), ClusterLevel: 1})
	if err != nil {
		return nil, err
	}
	if !resp.HasRecord {
		return nil, ErrNotFound
	}
	return keyOf(id, resp.Record.Value)
}

// keyFromRecord looks the key's record up.
func (d *DHT) keyFromRecord(ctx context.Context, id peer.ID) (crypto.PubKey, error) {
	value, err := d.GetValue(ctx, core.KeyForPublicKey(id), Quorum(1))
	if err != nil {
		return nil, err
	}
	return keyOf(id, value)
}

// keyOf reads a public key and makes sure that it is id's.
func keyOf(id peer.ID, value []byte) (crypto.PubKey, error) {
	key, err := crypto.UnmarshalPublicKey(value)
	if err != nil {
		return nil, err
	}
	if !id.MatchesPublicKey(key) {
		return nil, errors.New("kdht: the public key is another peer's")
	}
	return key, nil
}
