package kademlia

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// await runs one operation to its end and returns its result.
func (w *world) await(m *member, op func(done func(time.Time, Result))) Result {
	w.t.Helper()
	var result *Result
	op(func(_ time.Time, r Result) {
		if result != nil {
			w.t.Fatal("done was called twice")
		}
		result = &r
	})
	m.touch()
	w.runUntil(time.Minute, func() bool { return result != nil })
	return *result
}

func TestThousandNodes(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(1000, nil)
	exact, asked, hops := 0, 0, 0
	const lookups = 300
	for i := range lookups {
		m := w.order[w.rng.IntN(len(w.order))]
		key := fmt.Appendf(nil, "key %d", i)
		r := w.await(m, func(done func(time.Time, Result)) { m.node.FindNode(w.now, key, done) })
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if slices.Equal(idsOf(r.Closest), w.closest(key, 20, m.contact.ID)) {
			exact++
		}
		asked += r.Report.Asked
		hops += r.Report.Hops
	}
	t.Logf("%d of %d lookups exact, %.1f requests and %.2f hops each", exact, lookups, float64(asked)/lookups, float64(hops)/lookups)
	if exact < lookups*99/100 {
		t.Errorf("only %d of %d lookups found the true 20 closest", exact, lookups)
	}
	w.checkAskedOnce()
}

func TestStoreAndFindAcrossTheNetwork(t *testing.T) {
	w := newWorld(t, 2)
	w.grow(200, nil)
	for i := range 30 {
		writer, reader := w.order[w.rng.IntN(200)], w.order[w.rng.IntN(200)]
		rec := protocol.Record{Key: fmt.Appendf(nil, "/v/%d", i), Value: []byte("value")}
		r := w.await(writer, func(done func(time.Time, Result)) { writer.node.Store(w.now, rec, done) })
		if r.Err != nil || len(r.Report.Holders) > 20+2 || !holdAll(r.Report.Holders, w.closest(rec.Key, 20, writer.contact.ID)) {
			t.Fatalf("put %d: %v, holders are not the true 20 closest and a few that were given it too early: %+v", i, r.Err, r.Report)
		}
		r = w.await(reader, func(done func(time.Time, Result)) {
			reader.node.FindValue(w.now, rec.Key, ValueOptions{Quorum: 1}, done)
		})
		if r.Err != nil || string(r.Value) != "value" {
			t.Fatalf("get %d: %q, %v", i, r.Value, r.Err)
		}
		key := fmt.Appendf(nil, "content %d", i)
		r = w.await(writer, func(done func(time.Time, Result)) { writer.node.Provide(w.now, key, done) })
		if r.Err != nil || len(r.Report.Holders) < 20 || len(r.Report.Holders) > 20+2 {
			t.Fatalf("provide %d: %d holders, %v", i, len(r.Report.Holders), r.Err)
		}
		if reader == writer {
			continue
		}
		r = w.await(reader, func(done func(time.Time, Result)) { reader.node.FindProviders(w.now, key, 1, nil, done) })
		if r.Err != nil || len(r.Providers) != 1 || r.Providers[0].ID != writer.contact.ID || !r.Providers[0].sameAddrs(writer.contact) {
			t.Fatalf("find providers %d: %v, %v", i, r.Providers, r.Err)
		}
		r = w.await(reader, func(done func(time.Time, Result)) { reader.node.FindPeer(w.now, writer.contact.ID, done) })
		if r.Err != nil || len(r.Providers) != 1 || !r.Providers[0].sameAddrs(writer.contact) {
			t.Fatalf("find peer %d: %v", i, r.Err)
		}
	}
	w.checkAskedOnce()
}

// holdAll reports whether holders has all of ids.
func holdAll(holders, ids []peer.ID) bool {
	return !slices.ContainsFunc(ids, func(id peer.ID) bool { return !slices.Contains(holders, id) })
}

// A quarter of the network dies at once, some refusing and some hanging: the
// next lookups still name the true closest among the living, and puts still
// reach 20 of them.
func TestDeadPeersCostRequestsNotReplicas(t *testing.T) {
	w := newWorld(t, 3)
	w.grow(300, nil)
	for i, m := range w.order {
		switch i % 8 {
		case 1:
			m.fate = crashed
		case 5:
			m.fate = hung
		}
	}
	right, failures := 0, 0
	const puts = 40
	for i := range puts {
		m := w.order[8*w.rng.IntN(len(w.order)/8)]
		rec := protocol.Record{Key: fmt.Appendf(nil, "/v/%d", i), Value: []byte("v")}
		r := w.await(m, func(done func(time.Time, Result)) { m.node.Store(w.now, rec, done) })
		if n := len(r.Report.Holders); n < 20 || n > 20+2 { // one nearer may answer late, and is given it, too; some are given it too early
			t.Errorf("put %d reached %d holders: %v", i, len(r.Report.Holders), r.Err)
		}
		for _, id := range w.closest(rec.Key, 20, m.contact.ID) {
			if slices.Contains(r.Report.Holders, id) {
				right++
			}
		}
		failures += r.Report.Failed.Total()
	}
	t.Logf("%.1f %% of the records are on the true 20 closest living peers, %.1f failed requests each",
		float64(right)*100/(20*puts), float64(failures)/puts)
	if failures == 0 {
		t.Error("no request failed: the dead were not asked, so nothing was shown")
	}
	if right < 20*puts*9/10 {
		t.Errorf("only %d of %d records are where they belong", right, 20*puts)
	}
	w.checkAskedOnce()
}

func TestTablesForgetTheDead(t *testing.T) {
	w := newWorld(t, 4)
	w.grow(100, nil)
	for i, m := range w.order {
		if i%3 == 1 {
			m.fate = crashed
		}
	}
	w.run(w.now.Add(40 * time.Minute))
	for i, m := range w.order {
		if m.fate != alive {
			continue
		}
		dead := 0
		for _, c := range m.node.View().AppendClosest(nil, &m.contact.Key, m.node.View().Len()) {
			if w.members[c.ID].fate != alive {
				dead++
			}
		}
		if dead > 0 || m.node.View().Len() == 0 {
			t.Fatalf("node %d: %d of %d members are dead", i, dead, m.node.View().Len())
		}
	}
}

// An outage of our own network says nothing about the members: an hour later the
// table is as it was, and little was sent meanwhile.
func TestOutageEmptiesNoTable(t *testing.T) {
	w := newWorld(t, 7)
	w.grow(100, nil)
	m := w.order[50]
	w.run(w.now.Add(time.Hour)) // buckets are full
	before, sent := m.node.View().Len(), w.sent
	m.fate = cut
	for i, other := range w.order {
		if i != 50 {
			other.fate = hung // so that what is sent is ours
		}
	}
	w.run(w.now.Add(time.Hour))
	if got := m.node.View().Len(); got != before {
		t.Errorf("%d members before the outage, %d after", before, got)
	}
	if n := w.sent - sent; n > 10_000 {
		t.Errorf("%d requests during an hour without a network", n)
	}
	for _, other := range w.order {
		other.fate = alive
	}
	dead := w.order[3]
	dead.fate = crashed
	w.run(w.now.Add(time.Hour))
	if got := m.node.View().Len(); got < before-1 || got > before+5 {
		t.Errorf("%d members before the outage, %d an hour after its end", before, got)
	}
	if m.node.View().Contains(dead.contact.ID) {
		t.Error("a member that died is still there")
	}
}

// Two that join a small network at the same moment through a member that tells
// them nothing of each other meet within seconds.
func TestNewcomersMeet(t *testing.T) {
	w := newWorld(t, 8)
	first := w.add(0, nil)
	var pair []*member
	for i := range uint64(2) {
		m := w.add(i+1, nil)
		pair = append(pair, m)
		m.node.PeerSeen(w.now, first.contact)
		m.touch()
	}
	w.run(w.now.Add(3 * time.Second))
	for i, m := range pair {
		if other := pair[1-i].contact; !m.node.View().Contains(other.ID) {
			t.Errorf("newcomer %d does not know the other after 3 s", i+1)
		}
	}
}

// Rounds come at once, then 2 s, 10 s and a minute later while few are known,
// and every period from then on.
func TestRefreshRounds(t *testing.T) {
	w := newWorld(t, 9)
	a, b := w.add(0, nil), w.add(1, nil)
	var rounds []time.Duration
	own := string(a.node.self.Peer.ID)
	w.sawRequest = func(from *member, req *protocol.Message) {
		if from == a && string(req.Key) == own {
			rounds = append(rounds, w.now.Sub(epoch).Round(time.Second))
		}
	}
	a.node.PeerSeen(w.now, b.contact)
	a.touch()
	w.run(w.now.Add(32 * time.Minute))
	want := []time.Duration{0, 2, 12, 73, 673, 1273, 1873}
	for i := range want {
		want[i] *= time.Second
	}
	if len(rounds) != len(want) {
		t.Fatalf("looked up its own key at %v, want about %v", rounds, want)
	}
	for i, at := range rounds {
		if d := at - want[i]; d < -2*time.Second || d > 2*time.Second {
			t.Errorf("round %d at %v, want %v", i, at, want[i])
		}
	}
}

// What somebody asks for does not use up the quick rounds of a small table.
func TestRefreshAskedForKeepsRounds(t *testing.T) {
	w := newWorld(t, 9)
	a, b := w.add(0, nil), w.add(1, nil)
	a.node.PeerSeen(w.now, b.contact)
	for range 5 {
		a.node.Refresh(w.now, nil)
		a.touch()
		w.run(w.now.Add(100 * time.Millisecond))
	}
	rounds := 0
	w.sawRequest = func(from *member, req *protocol.Message) {
		if from == a && string(req.Key) == string(a.node.self.Peer.ID) {
			rounds++
		}
	}
	w.run(w.now.Add(time.Minute))
	if rounds != 2 {
		t.Errorf("%d rounds in the minute after five that were asked for, want 2", rounds)
	}
}

func TestSameSeedSameRun(t *testing.T) {
	run := func() (uint64, int) {
		w := newWorld(t, 5)
		w.grow(80, nil)
		w.run(w.now.Add(15 * time.Minute))
		return w.trace, w.sent
	}
	trace1, sent1 := run()
	trace2, sent2 := run()
	if trace1 != trace2 || sent1 != sent2 {
		t.Fatalf("runs differ: %x after %d requests, %x after %d", trace1, sent1, trace2, sent2)
	}
	if sent1 == 0 {
		t.Fatal("nothing was sent")
	}
}

func TestAloneThereAreNoPeers(t *testing.T) {
	w := newWorld(t, 6)
	m := w.add(0, nil)
	rec := protocol.Record{Key: []byte("/v/a"), Value: []byte("b")}
	for name, op := range map[string]func(func(time.Time, Result)){
		"FindNode":      func(done func(time.Time, Result)) { m.node.FindNode(w.now, []byte("x"), done) },
		"FindPeer":      func(done func(time.Time, Result)) { m.node.FindPeer(w.now, testID(9), done) },
		"FindProviders": func(done func(time.Time, Result)) { m.node.FindProviders(w.now, []byte("x"), 0, nil, done) },
		"FindValue":     func(done func(time.Time, Result)) { m.node.FindValue(w.now, []byte("x"), ValueOptions{}, done) },
		"Store":         func(done func(time.Time, Result)) { m.node.Store(w.now, rec, done) },
		"Provide":       func(done func(time.Time, Result)) { m.node.Provide(w.now, []byte("x"), done) },
	} {
		if r := w.await(m, op); !errors.Is(r.Err, ErrNoPeers) {
			t.Errorf("%s alone: %v, want %v", name, r.Err, ErrNoPeers)
		}
	}
	if len(m.node.queries) != 0 {
		t.Errorf("%d queries left over", len(m.node.queries))
	}
}
