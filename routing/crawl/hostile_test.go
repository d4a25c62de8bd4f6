package crawl_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

type bend = func(key []byte, honest []protocol.Peer) ([]protocol.Peer, error)

// One who invents peers without end gets no further than its bounds, and its inventions are asked after everybody else.
func TestInventionsAreBoundedAndLast(t *testing.T) {
	w := newTown(t, 5, 60, 20, 0)
	liar, places := w.peers[30], make(map[peer.ID]keyspace.Key)
	var invented []peer.ID
	for i := range 20_000 {
		p := peerOf(t, fmt.Sprint("invented", i))
		invented, places[p] = append(invented, p), keyspace.KeyOf([]byte(p))
	}
	w.bends = map[peer.ID]bend{liar: func(key []byte, _ []protocol.Peer) ([]protocol.Peer, error) {
		target := keyspace.KeyOf(key)
		return nearest(&target, invented, places, 200), nil
	}}
	honest := make(map[peer.ID]bool)
	for _, p := range w.peers {
		honest[p] = true
	}
	strangers := 0
	r, err := crawl.Run(t.Context(), w, w.seeds(1), crawl.Config{Parallel: 1, Neighbours: 500, PerTable: 50, Visits: 300}, func(v crawl.Visit) {
		switch {
		case !honest[v.Peer.ID]:
			strangers++
		case strangers > 20:
			t.Errorf("%s was asked after %d that only the liar names", v.Peer.ID, strangers)
		}
		if v.Peer.ID == liar && (v.Whole || len(v.Neighbours) > 500 || v.Requests > 50) {
			t.Errorf("the liar: %d members in %d requests, whole %t", len(v.Neighbours), v.Requests, v.Whole)
		}
	})
	if err != nil || r.End != crawl.OutOfBudget || r.Visits != 300 || r.Known > 60+500 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Answers that are no use: ids that are none, the asker, the peer itself, too many addresses, other peers' addresses.
func TestAnswersAreCheckedBeforeTheyAreKept(t *testing.T) {
	w := newTown(t, 6, 2, 20, 0)
	self := peerOf(t, "who crawls")
	other, far := w.peers[1], multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001/p2p/"+peerOf(t, "somebody else").String()).Bytes()
	var many [][]byte
	for i := range 200 {
		many = append(many, multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 1000+i)).Bytes())
	}
	w.bends = map[peer.ID]bend{w.peers[0]: func([]byte, []protocol.Peer) ([]protocol.Peer, error) {
		return []protocol.Peer{
			{ID: []byte("none")},
			{},
			{ID: make([]byte, 4096)},
			{ID: []byte(self), Addrs: [][]byte{somewhere}},
			{ID: []byte(w.peers[0]), Addrs: [][]byte{somewhere}},
			{ID: []byte(other), Addrs: append([][]byte{far, []byte("\xff\xff")}, many...)},
		}, nil
	}}
	_, visits := w.run(t, t.Context(), crawl.Config{Self: self})
	if len(visits) != 2 || !same(visits[w.peers[0]].Neighbours, []peer.ID{other}) || w.asked[self] != 0 {
		t.Fatalf("%d visits: %+v", len(visits), visits)
	}
	if got := visits[other].Peer.Addrs; len(got) != protocol.MaxAddrs || string(got[0]) != string(many[0]) {
		t.Errorf("%d addresses are kept, the first %x", len(got), got[0])
	}
}

// Who does not answer, and who stops to, are told with the reason.
func TestFailures(t *testing.T) {
	w := newTown(t, 7, 40, 20, 0)
	deaf, tired := w.peers[5], w.peers[6]
	asked := 0
	w.bends = map[peer.ID]bend{
		deaf: func([]byte, []protocol.Peer) ([]protocol.Peer, error) {
			return nil, fmt.Errorf("x: %w", protocol.ErrUnsupported)
		},
		tired: func(_ []byte, honest []protocol.Peer) ([]protocol.Peer, error) {
			if asked++; asked > 1 {
				return nil, protocol.ErrRefused
			}
			return honest, nil
		},
	}
	r, visits := w.run(t, t.Context(), crawl.Config{Parallel: 1})
	if r.End != crawl.Whole || r.Answered != 39 || r.Known != 40 {
		t.Errorf("%+v", r)
	}
	if v := visits[deaf]; v.Answered || v.Whole || !errors.Is(v.Err, protocol.ErrUnsupported) || v.Requests != 1 {
		t.Errorf("who does not speak the protocol: %+v", v)
	}
	if v := visits[tired]; !v.Answered || v.Whole || !errors.Is(v.Err, protocol.ErrRefused) || len(v.Neighbours) != 20 || v.Requests > 6 {
		t.Errorf("who stops to answer: %+v", v)
	}
}

// Who cannot be reached where the first one says is tried where another does, three times in all; who answers is not.
func TestAnotherAddress(t *testing.T) {
	w := newTown(t, 10, 12, 20, 0)
	first, lost := w.peers[0], w.peers[1]
	walk := crawl.NewWalk(crawl.Config{Parallel: 1}, w.seeds(1))
	var tried []string
	for a, ok := walk.Next(); ok; a, ok = walk.Next() {
		var closer []protocol.Peer
		var err error
		switch a.To.ID {
		case first: // who names nobody but the lost one, and then all others
			closer = []protocol.Peer{{ID: []byte(lost), Addrs: [][]byte{somewhere}}}
			for _, p := range w.peers[2:] {
				closer = append(closer, protocol.Peer{ID: []byte(p), Addrs: [][]byte{somewhere}})
			}
		case lost:
			err = protocol.ErrUnreachable
		default: // each knows another address of it
			at := multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 5000+len(tried))).Bytes()
			closer = []protocol.Peer{{ID: []byte(lost), Addrs: [][]byte{at}}}
		}
		if v, done := walk.Answer(a, closer, err); done && v.Peer.ID == lost {
			tried = append(tried, fmt.Sprint(len(v.Peer.Addrs), v.Again))
		}
	}
	if fmt.Sprint(tried) != "[1 false 2 true 3 true]" {
		t.Errorf("tried with so many addresses, again: %v", tried)
	}
}

// Every budget ends a crawl, with what was found until then; and a crawl needs somebody to begin with.
func TestBudgets(t *testing.T) {
	w := newTown(t, 8, 200, 20, 0)
	r, _ := w.run(t, t.Context(), crawl.Config{Requests: 30})
	if r.End != crawl.OutOfBudget || r.Requests != 30 || r.Answered == 0 {
		t.Errorf("30 requests: %+v", r)
	}
	if r, _ = w.run(t, t.Context(), crawl.Config{Visits: 10}); r.End != crawl.OutOfBudget || r.Visits != 10 || r.Answered != 10 {
		t.Errorf("10 visits: %+v", r)
	}
	if r, _ = w.run(t, t.Context(), crawl.Config{Peers: 50}); r.End != crawl.Whole || r.Known != 50 || r.Answered != 50 || r.Ignored == 0 {
		t.Errorf("50 peers: %+v", r)
	}
	if _, err := crawl.Run(t.Context(), w, nil, crawl.Config{}, nil); !errors.Is(err, crawl.ErrNoSeeds) {
		t.Errorf("without seeds: %v", err)
	}
}

// slow is a town whose peers take their time.
type slow struct {
	*town
	takes time.Duration
}

func (s slow) FindNode(ctx context.Context, to crawl.Peer, key []byte) ([]protocol.Peer, error) {
	select {
	case <-time.After(s.takes):
		return s.town.FindNode(ctx, to, key)
	case <-ctx.Done():
		return nil, protocol.ErrTimeout
	}
}

// A crawl that is called off tells what it had; and who answers slowly, a request at a time, does not hold it up for ever.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 9, 300, 20, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		told := 0
		r, err := crawl.Run(ctx, slow{w, time.Second}, w.seeds(1), crawl.Config{Parallel: 4}, func(crawl.Visit) { told++ })
		if err != nil || r.End != crawl.OutOfTime || r.Took != 5*time.Second || told == 0 || told != r.Visits {
			t.Errorf("5 s: %+v, %v, told %d", r, err, told)
		}
		r, _ = crawl.Run(t.Context(), slow{w, 9 * time.Second}, w.seeds(1), crawl.Config{Parallel: 300, PerPeer: 1}, func(v crawl.Visit) {
			if v.Whole || v.Requests > 8 {
				t.Errorf("a tarpit had %d requests of 9 s, whole %t", v.Requests, v.Whole)
			}
		})
		if r.Answered < 290 {
			t.Errorf("tarpits: %+v", r)
		}
	})
}
