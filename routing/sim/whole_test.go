package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

var (
	wholeNodes  = flag.Int("wholenodes", 1000, "how many nodes TestWholeNetwork simulates; every thousandth learns all of them")
	wholeSettle = flag.Duration("wholesettle", 3*time.Minute, "how long they are left alone")
)

// Who learns the whole network knows it after a round, with a quarter dead too:
//
//	go test ./routing/sim -run WholeNetwork -v -wholenodes 10000 -wholesettle 15m -timeout 1h
func TestWholeNetwork(t *testing.T) {
	cfg := Config{
		Seed: 12, Nodes: *wholeNodes, JoinRate: 50, Settle: *wholeSettle, Lookups: 2, Node: kademlia.Config{Breadth: kademlia.Breadth{Whole: time.Hour}},
	}
	r, _, err := simulated(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 999; i < *wholeNodes; i += 1000 {
		s := r.members[i].node.WholeTable()
		if s.Rounds == 0 && !s.Ready && i != *wholeNodes-1 {
			continue // it joined early: its first round saw a network that grew
		}
		t.Logf("member %d: %+v, %d bytes a peer, %.2f requests for each", i, s, s.Bytes/max(1, s.Peers), float64(s.Requests)/float64(*wholeNodes))
		if i == *wholeNodes-1 && (!s.Ready || s.Peers < *wholeNodes*97/100 || s.Peers >= *wholeNodes || s.Requests > uint64(3**wholeNodes)) {
			t.Errorf("%+v", s)
		}
	}
}
