package kademlia

import (
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// handDriven returns a node that knows peers 1..n, on a network that sends
// nothing, and the function that ends the last request to a peer.
func handDriven(t *testing.T, n uint64, change func(*Config)) (*Node, func(to uint64, m *protocol.Message, err error)) {
	w := newWorld(t, 1)
	m := w.add(0, change)
	for i := range n {
		m.node.table.insert(epoch, testContact(i+1))
	}
	return m.node, func(to uint64, answer *protocol.Message, err error) {
		t.Helper()
		var last RequestID
		for id, r := range m.node.requests.pending.all() {
			if r.to.ID == testID(to) {
				last = max(last, id)
			}
		}
		if last == 0 {
			t.Fatalf("nothing is on its way to p%d", to)
		}
		m.node.HandleResponse(epoch.Add(time.Millisecond), last, answer, err)
	}
}

// Whoever names a peer first does not decide alone where it is.
func TestJunkAddressesDoNotHideAPeer(t *testing.T) {
	victim, junk, good := testID(9), testAddr(66), testAddr(9)
	named := func(addrs ...[]byte) *protocol.Message {
		return &protocol.Message{CloserPeers: []protocol.Peer{{ID: []byte(victim), Addrs: addrs}}}
	}
	var found Result
	n, answer := handDriven(t, 3, nil)
	n.FindPeer(epoch, victim, func(_ time.Time, r Result) { found = r })
	answer(1, named(junk), nil)
	answer(9, nil, protocol.ErrUnreachable)
	answer(2, named(good), nil)
	answer(9, &protocol.Message{}, nil) // reached under the other address
	if found.Err != nil || len(found.Providers) != 1 || !slices.EqualFunc(found.Providers[0].Peer.Addrs, [][]byte{good}, slices.Equal) {
		t.Errorf("found %v, %v; want the address that works", found.Providers, found.Err)
	}

	// Named without addresses first: it is asked when another answer brings some.
	found = Result{}
	n, answer = handDriven(t, 3, nil)
	n.FindPeer(epoch, victim, func(_ time.Time, r Result) { found = r })
	answer(1, named(), nil)
	answer(2, named(good), nil)
	answer(9, &protocol.Message{}, nil)
	if found.Err != nil || len(found.Providers) != 1 {
		t.Errorf("found %v, %v", found.Providers, found.Err)
	}

	// Sixteen junk addresses leave room for the good one of another answer.
	l := newLookup(n.self.Key, 20, 3, 3, nil)
	var many [][]byte
	for i := range uint64(16) {
		many = append(many, testAddr(100+i))
	}
	l.add(NewContact(victim, many), 1)
	l.add(NewContact(victim, [][]byte{good}), 1)
	if got := l.candidates[0].contact.Peer.Addrs; len(got) != protocol.MaxAddrs || !containsAddr(got, good) {
		t.Errorf("%d addresses kept, the good one among them: %v", len(got), containsAddr(got, good))
	}
}

// Peers that cannot be asked any more do not stand in the way of those that have
// answered.
func TestStoreSurvivesInventedPeers(t *testing.T) {
	n, _ := handDriven(t, 20, nil)
	key := []byte("/v/a")
	invented := uint64(1000)
	var result *Result
	n.Store(epoch, protocol.Record{Key: key, Value: []byte("v")}, func(_ time.Time, r Result) { result = &r })
	for range 2000 {
		if result != nil {
			break
		}
		for _, id := range sortedIDs(n) {
			r := n.requests.pending.get(id)
			switch {
			case r == nil:
			case !honest(r.to.ID):
				n.HandleResponse(epoch, id, nil, protocol.ErrUnreachable)
			default:
				m := &protocol.Message{}
				for range protocol.MaxAnswerPeers {
					invented++
					m.CloserPeers = append(m.CloserPeers, testContact(invented).Peer)
				}
				n.HandleResponse(epoch, id, m, nil)
			}
		}
	}
	// The budget of requests went to invented peers before all twenty were asked.
	if result == nil || result.Err != nil || len(result.Report.Holders) < 10 {
		t.Fatalf("the record is on too few peers: %+v", result)
	}
	if result.Report.Asked > 2*maxAsked {
		t.Errorf("%d requests", result.Report.Asked)
	}
}

func honest(id peer.ID) bool {
	for i := range uint64(20) {
		if id == testID(i+1) {
			return true
		}
	}
	return false
}

func sortedIDs(n *Node) []RequestID {
	var ids []RequestID
	for id := range n.requests.pending.all() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func TestHugeIDsAreRefused(t *testing.T) {
	n, answer := handDriven(t, 1, nil)
	huge, err := multihash.Sum(make([]byte, 100_000), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	asked := n.requests.pending.len()
	n.FindNode(epoch, []byte("x"), nil)
	answer(1, &protocol.Message{CloserPeers: []protocol.Peer{{ID: huge, Addrs: [][]byte{testAddr(1)}}}}, nil)
	if n.requests.pending.len() != asked {
		t.Error("a peer with an id of 100 kB is asked")
	}
}

func TestCancelInsideACallback(t *testing.T) {
	n, answer := handDriven(t, 3, nil)
	var q QueryID
	told, ended := 0, 0
	q = n.FindProviders(epoch, []byte("k"), 0, func(*Contact) {
		told++
		n.Cancel(epoch, q)
	}, func(time.Time, Result) { ended++ })
	sent := n.requests.last
	answer(1, &protocol.Message{
		ProviderPeers: []protocol.Peer{testContact(7).Peer, testContact(8).Peer},
		CloserPeers:   []protocol.Peer{testContact(9).Peer},
	}, nil)
	if told != 1 || ended != 1 || n.requests.last != sent {
		t.Errorf("told %d times, ended %d times, %d requests after the end", told, ended, n.requests.last-sent)
	}
}

func TestNoCorrectionAfterCancel(t *testing.T) {
	n, answer := handDriven(t, 3, nil)
	q := n.FindValue(epoch, []byte("/v/a"), ValueOptions{}, nil)
	answer(1, &protocol.Message{HasRecord: true, Record: protocol.Record{Key: []byte("/v/a"), Value: []byte("x")}}, nil)
	answer(2, &protocol.Message{}, nil)
	sent := n.requests.last
	n.Cancel(epoch, q)
	if n.requests.last != sent {
		t.Error("a canceled search stores what it found")
	}
}

// panicking is an application's validator with a bug that a value can reach.
type panicking struct{}

func (panicking) Validate(_ string, value []byte) error {
	if string(value) == "boom" {
		panic("index out of range")
	}
	return nil
}

func (panicking) Select(string, [][]byte) (int, error) { panic("index out of range") }

func TestPanickingValidator(t *testing.T) {
	n, answer := handDriven(t, 3, func(c *Config) { c.Validator = panicking{} })
	var found Result
	n.FindValue(epoch, []byte("/v/a"), ValueOptions{}, func(_ time.Time, r Result) { found = r })
	for i, value := range []string{"boom", "fine", "other"} {
		answer(uint64(i)+1, &protocol.Message{HasRecord: true, Record: protocol.Record{Key: []byte("/v/a"), Value: []byte(value)}}, nil)
	}
	if string(found.Value) != "fine" {
		t.Errorf("found %q, %v", found.Value, found.Err)
	}
}

func TestNegativePeriods(t *testing.T) {
	n, _ := handDriven(t, 1, func(c *Config) { c.Timing = Timing{Reprovide: -1, Probe: -1, Refresh: -1, Cache: -1, Suspect: -1} })
	n.SetKeys(epoch, nil, nil, Cursor{})
	n.KeysDue(epoch)
	if next := n.NextDeadline(); !next.IsZero() {
		t.Errorf("waits until %v for nothing", next)
	}
	for _, bad := range []Timing{{Retry: -1}, {Slot: -1}, {Slot: time.Minute, GiveUp: time.Second}} {
		if err := bad.fill(); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// Sixteen silent candidates leave room for the probes that keep the table true.
func TestCandidatesDoNotStarveMembers(t *testing.T) {
	n, _ := handDriven(t, 1, nil)
	for i := range uint64(200) {
		n.PeerSeen(epoch, testContact(1000+i))
	}
	if got := n.requests.pending.len(); got != maxProbes/2 {
		t.Errorf("%d candidates are probed at once, want %d", got, maxProbes/2)
	}
	n.Advance(epoch.Add(15 * time.Minute))
	probed := false
	for _, r := range n.requests.pending.all() {
		probed = probed || r.to.ID == testID(1)
	}
	if !probed {
		t.Error("the overdue member is not probed")
	}
}
