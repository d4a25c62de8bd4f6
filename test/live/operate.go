package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// Kind is a kind of operation.
type Kind int

// The kinds.
const (
	Closest Kind = iota
	FindPeer
	Put
	Get
	Provide
	FindProviders
	Kinds // their number
)

// String is how the figures call them.
func (k Kind) String() string {
	return [...]string{"closest", "find peer", "put", "get", "provide", "find providers"}[k]
}

// Sample is one operation and what it took.
type Sample struct {
	Kind     Kind
	Took     time.Duration
	Whole    time.Duration // what is stored: until nothing is under way for it any more
	Requests int           // asked, as its report says
	Dials    int           // peers
	// Quality is the share of the k nearest live peers that were returned, or hold the
	// record now; below zero where there is none.
	Quality float64
	Err     error
}

// Figures are samples.
type Figures []Sample

// find is a value and a content that were stored, before anybody failed, for others to
// find.
type find struct {
	key string
	cid cid.Cid
}

// Operator makes operations at one member.
type Operator struct {
	town *Town
	*Member
	rand  *rand.Rand
	finds []find
}

// Prepare has each of the first members after the gates store things for the others to
// find, before anybody fails: so many values and contents each. Before that each makes one
// lookup, whose figures tell what it costs to begin again after a rest.
func (t *Town) Prepare(ctx context.Context, operators, each int) ([]*Operator, Figures, error) {
	first := make(Figures, operators)
	all := make([]*Operator, operators)
	errs := make([]error, operators)
	var group sync.WaitGroup
	for i := range all {
		o := &Operator{town: t, Member: t.members[2+i], rand: rand.New(rand.NewPCG(t.cfg.Seed, uint64(100+i)))}
		all[i] = o
		group.Go(func() {
			first[i] = o.operate(ctx, Closest, find{})
			for range each {
				value := o.bytes()
				f := find{key: store.ImmKey(value), cid: contentID(value)}
				errs[i] = errors.Join(errs[i], o.dht.PutValue(routing.Thorough(ctx), f.key, value), o.dht.Provide(routing.Thorough(ctx), f.cid, true))
				o.finds = append(o.finds, f)
			}
		})
	}
	group.Wait()
	return all, first, errors.Join(errs...)
}

func (o *Operator) bytes() []byte {
	b := make([]byte, 100)
	for i := range b {
		b[i] = byte(o.rand.Uint32())
	}
	return b
}

func contentID(b []byte) cid.Cid {
	hash, err := multihash.Sum(b, multihash.SHA2_256, -1)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// Operate has the operators make operations of every kind in turn, side by side, one
// after the other each.
func (t *Town) Operate(ctx context.Context, operators []*Operator, rounds int) Figures {
	made := make([]Figures, len(operators))
	var group sync.WaitGroup
	for i, o := range operators {
		other := operators[(i+1)%len(operators)]
		group.Go(func() {
			for r := range rounds {
				for k := range Kinds {
					made[i] = append(made[i], o.operate(ctx, k, other.finds[r%len(other.finds)]))
				}
			}
		})
	}
	group.Wait()
	return slices.Concat(made...)
}

// operate makes one operation and measures it.
func (o *Operator) operate(ctx context.Context, k Kind, there find) Sample {
	var report routing.Report
	s := Sample{Kind: k, Quality: -1}
	ctx = routing.WithReport(ctx, &report)
	fresh := o.bytes()
	o.dials.since()
	began := time.Now()
	switch k {
	case Closest:
		var found []peer.ID
		found, s.Err = o.dht.GetClosestPeers(ctx, string(fresh))
		s.Took = time.Since(began)
		s.Quality = o.town.quality(fresh, found, o.Member)
	case FindPeer:
		target := o.stranger()
		began = time.Now()
		_, s.Err = o.dht.FindPeer(ctx, target.host.ID())
	case Put:
		key := store.ImmKey(fresh)
		s.Err = o.stores(ctx, &s, &report, func(ctx context.Context) error { return o.dht.PutValue(ctx, key, fresh) })
		s.Quality = o.town.quality([]byte(key), report.Holders, o.Member)
	case Get:
		_, s.Err = o.dht.GetValue(ctx, there.key)
	case Provide:
		c := contentID(fresh)
		s.Err = o.stores(ctx, &s, &report, func(ctx context.Context) error { return o.dht.Provide(ctx, c, true) })
		s.Quality = o.town.quality(c.Hash(), report.Holders, o.Member)
	case FindProviders:
		var found []peer.AddrInfo
		if found, s.Err = o.dht.FindProviders(ctx, there.cid); s.Err == nil && len(found) == 0 {
			s.Err = errors.New("no provider was found")
		}
	}
	if s.Took == 0 {
		s.Took = time.Since(began)
	}
	s.Requests, s.Dials = report.Asked, o.dials.since()
	return s
}

// stores makes a put or an announcement, which returns when half of the k nearest hold it,
// and waits for the rest; the report is then that of the whole.
func (o *Operator) stores(ctx context.Context, s *Sample, whole *routing.Report, op func(context.Context) error) error {
	over := make(chan error, 1)
	began := time.Now()
	err := op(routing.WithFinalReport(ctx, func(r routing.Report, err error) {
		s.Whole, *whole = time.Since(began), r
		over <- err
	}))
	s.Took = time.Since(began)
	return errors.Join(err, <-over)
}

// stranger returns a live member that this one is not connected to, or any other if
// there is none.
func (o *Operator) stranger() *Member {
	var other *Member
	for _, i := range o.rand.Perm(len(o.town.members)) {
		m := o.town.members[i]
		if m == o.Member || o.town.failed[m] {
			continue
		}
		other = m
		if o.host.Network().Connectedness(m.host.ID()) != network.Connected {
			break
		}
	}
	return other
}

// replicas is k, the number of peers that are to hold a record.
const replicas = 20

// quality returns the share of the k live members nearest to key, without the one that
// asks, that are among found.
func (t *Town) quality(key []byte, found []peer.ID, asker *Member) float64 {
	target := keyspace.KeyOf(key)
	type place struct {
		id  peer.ID
		key keyspace.Key
	}
	var live []place
	for _, m := range t.members {
		if m != asker && !t.failed[m] {
			live = append(live, place{m.host.ID(), keyspace.KeyOfString(string(m.host.ID()))})
		}
	}
	slices.SortFunc(live, func(a, b place) int { return keyspace.CompareDistance(&target, &a.key, &b.key) })
	live = live[:min(len(live), replicas)]
	hits := 0
	for _, p := range live {
		if slices.Contains(found, p.id) {
			hits++
		}
	}
	return float64(hits) / float64(len(live))
}

// Of returns the samples of one kind, the quickest first.
func (f Figures) Of(k Kind) Figures {
	var of Figures
	for _, s := range f {
		if s.Kind == k {
			of = append(of, s)
		}
	}
	slices.SortFunc(of, func(a, b Sample) int { return cmp.Compare(a.Took, b.Took) })
	return of
}

// Percentile returns the time that so many percent of sorted samples have not exceeded.
func (f Figures) Percentile(p int) time.Duration {
	if len(f) == 0 {
		return 0
	}
	return f[min(len(f)-1, len(f)*p/100)].Took
}

// whole returns the median of the times until nothing was under way any more.
func (f Figures) whole() time.Duration {
	all := make([]time.Duration, len(f))
	for i := range f {
		all[i] = max(f[i].Took, f[i].Whole)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Mean returns the mean of something; samples where it is below zero do not count.
func (f Figures) Mean(of func(Sample) float64) float64 {
	sum, n := 0.0, 0
	for _, s := range f {
		if v := of(s); v >= 0 {
			sum += v
			n++
		}
	}
	return sum / float64(max(n, 1))
}

// Errors returns those that failed.
func (f Figures) Errors() (errs []error) {
	for _, s := range f {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Kind, s.Err))
		}
	}
	return errs
}

// WriteText writes a table.
func (f Figures) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tp50 ms\tp95 ms\tmost ms\twhole p50\trequests\tdials\tquality\tfailed\t")
	for k := range Kinds {
		of := f.Of(k)
		if len(of) == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t", k, of.Percentile(50).Milliseconds(), of.Percentile(95).Milliseconds(), of.Percentile(100).Milliseconds(), of.whole().Milliseconds(),
			of.Mean(func(s Sample) float64 { return float64(s.Requests) }), of.Mean(func(s Sample) float64 { return float64(s.Dials) }))
		if of.Mean(func(s Sample) float64 { return s.Quality }) > 0 {
			fmt.Fprintf(t, "%.3f\t", of.Mean(func(s Sample) float64 { return s.Quality }))
		} else {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprintf(t, "%d\t\n", len(of.Errors()))
	}
	return t.Flush()
}
