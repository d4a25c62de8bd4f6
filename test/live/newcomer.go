package live

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// First is the first operation of a new client, and all that the client did until it was
// over, joining included.
type First struct {
	Sample
	// Sent counts the requests of the client that have arrived anywhere by then, Met the
	// peers that it has dialed.
	Sent, Met int
}

// Newcomer starts a client that knows the first two members, has it make one operation
// as soon as it can, and ends it.
func (t *Town) Newcomer(ctx context.Context, k Kind, there []*Operator) (First, error) {
	t.newcomers++
	began := time.Now()
	m, err := t.join(ctx, len(t.members)+t.newcomers, t.gates(2), routing.ModeClient)
	if err != nil {
		return First{}, err
	}
	other := there[t.newcomers%len(there)]
	o := &Operator{town: t, Member: m, rand: rand.New(rand.NewPCG(t.cfg.Seed, uint64(1000+t.newcomers)))}
	joining := m.dials.since()
	f := First{Sample: o.operate(ctx, k, other.finds[0])}
	f.Took = time.Since(began)
	f.Met = joining + f.Dials
	settle(ctx, underWay)
	f.Sent = int(t.arrival(m.host.ID()).Load())
	return f, errors.Join(f.Err, m.close())
}

// Learner starts a client that knows the first two members and learns the whole town within
// a minute, again and again. The caller closes it.
func (t *Town) Learner(ctx context.Context) (*Operator, error) {
	t.newcomers++
	i := len(t.members) + t.newcomers
	m, err := t.begin(i, t.gates(2), routing.ModeClient, kademlia.Breadth{Whole: time.Minute})
	if err != nil {
		return nil, err
	}
	if err := m.dht.WaitReady(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return &Operator{town: t, Member: m, rand: rand.New(rand.NewPCG(t.cfg.Seed, uint64(i)))}, nil
}

// Known returns how much of the town the operator's node knows by heart.
func (o *Operator) Known() kademlia.WholeTable { return o.dht.WholeTable() }

// Lookup finds the peers nearest to a random key.
func (o *Operator) Lookup(ctx context.Context) (hops int, quality float64, err error) {
	var r routing.Report
	key := o.bytes()
	found, err := o.dht.GetClosestPeers(routing.WithReport(ctx, &r), string(key))
	return r.Hops, o.town.quality(key, found, o.Member), err
}

// Close ends the operator's node, which must not be one of the town's own.
func (o *Operator) Close() error { return o.close() }

// underWay is longer than any request is on its way.
const underWay = 75 * time.Millisecond

func settle(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Settle lets the town be for a while.
func (t *Town) Settle(ctx context.Context, d time.Duration) { settle(ctx, d) }
