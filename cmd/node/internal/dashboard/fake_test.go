package dashboard

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Source whose every answer is given.
type fake struct {
	control.Node // nil: what is not below is not asked

	looks, watched, stopped atomic.Int64
	watcher                 atomic.Pointer[func(routing.LookupStep)]
	released                atomic.Pointer[string]
	fail                    error
}

func (f *fake) Stats() routing.Stats {
	f.looks.Add(1)
	return routing.Stats{Table: 3}
}
func (f *fake) Latencies() (l routing.Latencies)     { return l }
func (f *fake) Size() (peers, samples int)           { return 7, 2 }
func (f *fake) SizeSamples() []kademlia.SizeSample   { return nil }
func (f *fake) Terms() Terms                         { return Terms{K: 20, Suspect: 300_000, Probe: 600_000, Refresh: 600_000} }
func (f *fake) Connected() map[string]bool           { return nil }
func (f *fake) PeerRows(int) ([]PeerRow, int)        { return []PeerRow{{ID: "p"}}, 1 }
func (f *fake) Files() (dir string, d *control.Disk) { return "", nil }
func (f *fake) Buckets() []kademlia.BucketInfo       { return nil }
func (f *fake) Status(context.Context) (*control.Status, error) {
	return &control.Status{Mode: "server", Peers: 3}, nil
}

func (f *fake) Throttle(_ context.Context, r control.ThrottleRequest) (*control.Throttle, error) {
	return &control.Throttle{Workers: r.Count}, nil
}

func (f *fake) RecordRows(context.Context, int, int) (RecordRows, error) { return RecordRows{}, nil }

func (f *fake) WatchLookups(w func(routing.LookupStep)) (func(), error) {
	f.watched.Add(1)
	f.watcher.Store(&w)
	return func() { f.stopped.Add(1) }, nil
}

func (f *fake) Release(_ context.Context, r control.ReleaseRequest) (*control.Released, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	f.released.Store(&r.Who)
	return &control.Released{Who: r.Who, Held: true}, nil
}

func (f *fake) Get(ctx context.Context, r control.GetRequest, _ control.Watch) (*control.Value, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	if string(r.Key) == "/imm/wait" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &control.Value{Value: r.Key}, nil
}

var errOdd = errors.New("store: odd\nand more")

// lookup is one lookup told step by step: it asks as many peers, each of which names two.
func (f *fake) lookup(id kademlia.QueryID, asked int) {
	tell := *f.watcher.Load()
	at := time.Now()
	tell(routing.LookupStep{Lookup: id, Kind: routing.StepBegan, At: at, Key: []byte("/v/key")})
	for i := range asked {
		c := contact(i)
		tell(routing.LookupStep{Lookup: id, Kind: routing.StepAsking, At: at.Add(time.Millisecond), Peer: c, Hop: 1})
		tell(routing.LookupStep{Lookup: id, Kind: routing.StepAnswered, At: at.Add(2 * time.Millisecond), Peer: c, Closer: []*kademlia.Contact{contact(2*i + 1000), contact(2*i + 1001)}})
	}
	tell(routing.LookupStep{Lookup: id, Kind: routing.StepEnded, At: at.Add(3 * time.Millisecond), Result: &kademlia.Result{
		Closest: []*kademlia.Contact{contact(0)}, Report: kademlia.Report{Asked: asked, Answered: asked, Hops: 1, Holders: []peer.ID{contact(0).ID}},
	}})
}

func contact(n int) *kademlia.Contact {
	return kademlia.NewContact(peer.ID([]byte{0, 36, 8, 1, 18, 32, byte(n), byte(n >> 8), 31: 1, 37: 1}), nil)
}
