package live

import (
	"context"
	"errors"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/host"
)

// DHT returns the DHT of the network, of the public one in a Dual, to be looked at.
func (n *Node) DHT() *routing.DHT { return n.dht }

// Host returns the host, to be looked at.
func (n *Node) Host() host.Host { return n.host }

// EachValue calls f for the values kept, in the order of the keyspace, until f returns
// false or ctx ends. rec is valid during the call.
func (n *Node) EachValue(ctx context.Context, f func(rec protocol.Record, age, left time.Duration) bool) error {
	var first, last keyspace.Key
	for i := range last {
		last[i] = 0xff
	}
	err := n.stores.Values.Range(time.Now(), first, last, func(rec protocol.Record, age, left time.Duration) bool {
		return f(rec, age, left) && ctx.Err() == nil
	})
	return classify(errors.Join(err, ctx.Err()))
}

// Files returns the directory that values are kept in, empty if that is memory, and how
// its files are.
func (n *Node) Files() (dir string, disk *control.Disk) { return n.stores.Dir, n.stores.Disk() }
