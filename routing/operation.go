package routing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// operation is one call of the API while its query runs. The query lives on the
// loop; what it finds is delivered by the caller's goroutine, which may block on
// a slow consumer, in the order of finding.
//
// Invariant: the loop never waits for the consumer; what waits is bounded by the
// bounds of one query.
type operation struct {
	dht     *DHT
	id      uint64           // the loop's; no other of this DHT has it
	query   kademlia.QueryID // the loop's
	ctx     context.Context
	key     []byte               // what is looked up
	lookups *lookupEvents        // nil if nobody wants them
	traced  *traced              // nil if nobody wants to know
	result  chan kademlia.Result // gets one

	mu   sync.Mutex
	news []func()
	wake chan struct{} // 1 while there are news
}

// starter starts a query on the node and passes done on to it.
type starter func(now time.Time, n *kademlia.Node, op *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID

// run starts a query for key and waits until it ends, delivering what it finds. When ctx
// ends before, so does the query, and what was found by then is returned with
// ctx's error. The context's Report is filled in in any case.
func (d *DHT) run(ctx context.Context, kind OperationKind, key []byte, start starter) (kademlia.Result, error) {
	traced := d.beginTraced(ctx, kind, key)
	r, err := d.runTraced(ctx, traced, key, start)
	traced.end(ctx, r.Report, err)
	return r, err
}

func (d *DHT) runTraced(ctx context.Context, traced *traced, key []byte, start starter) (kademlia.Result, error) {
	if err := d.turns.take(ctx, d.closing); err != nil {
		return kademlia.Result{}, err
	}
	within, cancel := d.within(ctx)
	defer cancel()
	op := d.operation(within, key)
	op.traced = traced
	if err := op.post(start); err != nil {
		return kademlia.Result{}, outcome(ctx, err)
	}
	r, err := op.await(within.Done(), nil)
	FillReport(ctx, r.Report)
	return r, outcome(ctx, d.explained(err))
}

// operation returns one that looks key up and ends with ctx.
func (d *DHT) operation(ctx context.Context, key []byte) *operation {
	return &operation{dht: d, ctx: ctx, key: key, lookups: registration(ctx), result: make(chan kademlia.Result, 1), wake: make(chan struct{}, 1)}
}

// explained is err, or why there is nobody to ask.
func (d *DHT) explained(err error) error {
	if errors.Is(err, ErrNoPeers) && d.loop.node.View().Len() == 0 {
		return d.whyNotReady()
	}
	return err
}

// within returns ctx, ended also by the DHT's end.
func (d *DHT) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// post has the loop start the operation's query. If there is an error its turn is given back.
func (op *operation) post(start starter) error {
	d := op.dht
	err := d.loop.post(func(now time.Time) {
		op.query = d.observers.start(op, func(done func(time.Time, kademlia.Result)) kademlia.QueryID {
			return op.begin(now, start, done)
		})
	})
	if err != nil {
		d.turns.give(false)
	}
	return err
}

// await delivers what the query finds until it ends, or until half brings what there is by
// then. When cancelled is closed the query is called off.
func (op *operation) await(cancelled <-chan struct{}, half <-chan kademlia.Result) (kademlia.Result, error) {
	d := op.dht
	for {
		select {
		case <-op.wake:
			op.deliver()
		case <-cancelled:
			cancelled = nil
			_ = d.loop.post(func(now time.Time) { d.loop.node.Cancel(now, op.query) })
		case r := <-half:
			op.deliver()
			return r, nil
		case r := <-op.result:
			op.deliver()
			return r, r.Err
		case <-d.closing:
			return kademlia.Result{}, ErrClosed
		}
	}
}

// end takes in the query's result, on the loop.
func (op *operation) end(r kademlia.Result) {
	op.dht.turns.give(op.dht.network.client.Crowded())
	op.result <- r
}

// tell has f run by the goroutine that waits for the operation.
func (op *operation) tell(f func()) {
	op.mu.Lock()
	op.news = append(op.news, f)
	op.mu.Unlock()
	select {
	case op.wake <- struct{}{}:
	default:
	}
}

// deliver runs what tell was given so far.
func (op *operation) deliver() {
	op.mu.Lock()
	news := op.news
	op.news = nil
	op.mu.Unlock()
	for _, f := range news {
		f()
	}
}
