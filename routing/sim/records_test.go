package sim

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// In a calm network every record is acknowledged by all of the k nearest and found
// by whoever asks; expired ones are forgotten in time.
func TestRecordsInACalmNetwork(t *testing.T) {
	r := simulate(t, Config{
		Seed: 60, Nodes: 80,
		Records: Records{Values: 40, Providers: 40, For: 20 * time.Minute, Reads: 0.1, Every: 8 * time.Minute},
	})
	for name, u := range map[string]Upkeep{"values": r.Kept.Values, "providers": r.Kept.Providers} {
		if u.Acknowledged != u.Puts || u.Holders < 19.9 || u.Put.Messages < 20 || u.Put.P50 <= 0 || u.Put.P50 > u.Put.P99 {
			t.Errorf("%s: %+v", name, u)
		}
		if u.Tended.Ended < 30 || u.Tended.Share() < 1 || u.Orphaned.Ended > 0 || u.LastTended != (Reads{Ended: 40, Found: 40}) {
			t.Errorf("%s: %+v", name, u)
		}
	}
	// Of values the later puts are the run's own: two each.
	if r.Kept.Values.Puts != 120 || r.Kept.Providers.Puts != 40 {
		t.Errorf("%d puts of values, %d of providers", r.Kept.Values.Puts, r.Kept.Providers.Puts)
	}
}

// What nobody puts again is forgotten after its time: reads say that it is no
// longer there, and no store has kept it.
func TestRecordsAreForgotten(t *testing.T) {
	cfg := Config{
		Seed: 61, Nodes: 40,
		Node:    kademlia.Config{Timing: kademlia.Timing{Refresh: 2 * time.Hour, Probe: 2 * time.Hour}},
		Records: Records{Values: 20, Providers: 20, For: 4 * time.Hour, Reads: 0.001, Every: 100 * time.Hour, MaxAge: time.Hour},
	}
	r, report, err := simulated(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]Upkeep{"values": report.Kept.Values, "providers": report.Kept.Providers} {
		if u.LastTended != (Reads{Ended: 20, Gone: 20}) || u.Acknowledged != 20 {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if len(r.records.stocks) < 30 {
		t.Errorf("only %d members have ever held anything", len(r.records.stocks))
	}
	for who, s := range r.records.stocks {
		if s.values.Len()+s.providers.Len()+len(s.put) > 0 {
			t.Errorf("member %d has kept %d values and %d provider records", who, s.values.Len(), s.providers.Len())
		}
	}
}

// Members without records cost a run nothing: no stores, and the same lookups.
func TestIdleMembersHaveNoStores(t *testing.T) {
	cfg := Config{Seed: 62, Nodes: 100, Records: Records{Values: 1, For: time.Minute, Reads: 0.01}}
	r, _, err := simulated(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.records.stocks); n < 20 || n > 25 {
		t.Errorf("one value made the stores of %d members", n)
	}
	cfg.Records = Records{}
	if r, _, err = simulated(t.Context(), cfg, nil, nil); err != nil || r.records != nil {
		t.Errorf("%v: a run without records keeps %+v", err, r.records)
	}
}

// The same run, records, churn, jumps and all, whatever the number of processors.
func TestSameSeedSameRecords(t *testing.T) {
	cfg := Config{
		Seed: 63, Nodes: 60, Lookups: 20, Rate: 0.1, Link: Link{Loss: 0.02}, Churn: Churn{On: true, Scale: 0.01},
		Records: Records{Values: 20, Providers: 20, For: 4 * time.Minute, Reads: 0.2, Every: time.Minute, Durable: true, Jumps: Jumps{Share: 0.3, By: time.Hour}},
	}
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	one := simulate(t, cfg)
	runtime.GOMAXPROCS(2)
	two := simulate(t, cfg)
	if one.Trace != two.Trace || one.Events != two.Events || *one.Kept != *two.Kept {
		t.Errorf("trace %s after %d events, then %s after %d\n%+v\n%+v", one.Trace, one.Events, two.Trace, two.Events, one.Kept, two.Kept)
	}
}

// Owners that come back put their values again and announce themselves again;
// meanwhile their records count as nobody's.
func TestOwnersComeBack(t *testing.T) {
	cfg := Config{
		Seed: 65, Nodes: 50, Churn: Churn{Comeback: Comeback{Share: 1, After: 3 * time.Minute, Within: time.Second, Down: 4 * time.Minute}},
		Records: Records{Values: 30, Providers: 30, For: 12 * time.Minute, Reads: 0.5, Every: 100 * time.Hour},
	}
	r, report, err := simulated(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var again [2]int // records whose owners restart; the anchors do not
	for i := range r.records.records {
		if r.records.records[i].owner >= Anchors {
			again[i/30]++
		}
	}
	for i, u := range []Upkeep{report.Kept.Values, report.Kept.Providers} {
		if u.Puts != 30+again[i] || u.LastTended != (Reads{Ended: 30, Found: 30}) || u.LastOrphaned.Ended > 0 {
			t.Errorf("kind %d, %d owners have come back: %+v", i, again[i], u)
		}
		if u.Orphaned.Ended < 20 || u.Tended.Ended < 80 {
			t.Errorf("kind %d: with the owner %+v, without %+v", i, u.Tended, u.Orphaned)
		}
	}
	if report.Kept.CutShort == 0 {
		t.Error("no operation was cut short, though everybody has gone at the same moment")
	}
}

// A durable member comes back with its values, and without provider records.
func TestDurableMembers(t *testing.T) {
	cfg := Config{Nodes: 30, Records: Records{Values: 1, Providers: 1, Durable: true}}
	r, k, w := withRecords(t, cfg)
	w.put(0)
	w.put(1)
	if !k.holds(2, 0) || !k.holds(2, 1) {
		t.Fatal("it does not hold what was put")
	}
	r.goesDown(2, BlackHole)
	if k.holds(2, 0) {
		t.Error("it holds a value while it is down")
	}
	r.comeUp(2)
	if !k.holds(2, 0) || k.holds(2, 1) {
		t.Errorf("back, it holds the value: %v, the provider: %v", k.holds(2, 0), k.holds(2, 1))
	}
	k.cfg.Durable = false
	r.goesDown(2, BlackHole)
	r.comeUp(2)
	if k.holds(2, 0) {
		t.Error("what was in memory only has come back")
	}
}

// A durable member whose clock is set back while it is down takes its records for
// new ones: they outlive their time, which is counted and not held against it.
func TestDurableMemberSetBackWhileDown(t *testing.T) {
	r, k, w := withRecords(t, Config{Nodes: 30, Records: Records{Values: 1, Durable: true}})
	w.put(0)
	r.goesDown(2, BlackHole)
	r.now += int64(47 * time.Hour)
	k.off[2] = -int64(60 * time.Hour)
	r.comeUp(2)
	r.now += int64(10 * time.Hour)
	k.aged(2)
	if k.clocks.Outlived != 1 || r.checks.broken > 0 {
		t.Errorf("after 57 h %d records have outlived their time; %v", k.clocks.Outlived, r.checks.violations)
	}
	r.now += int64(39 * time.Hour)
	if k.holds(2, 0) {
		t.Error("it still holds the record 49 h after it came back")
	}
}

// A clock that jumps makes nothing immortal, and makes too old only what the jump
// adds enough to.
func TestClockJumps(t *testing.T) {
	for _, by := range []time.Duration{time.Second, 59 * time.Minute, 72 * time.Hour} {
		cfg := Config{
			Seed: 64, Nodes: 60,
			Records: Records{
				Values: 30, Providers: 30, For: 6 * time.Hour, Reads: 0.01, Every: 100 * time.Hour, MaxAge: 4 * time.Hour,
				Jumps: Jumps{Share: 0.5, By: by},
			},
			Node: kademlia.Config{Timing: kademlia.Timing{Refresh: 2 * time.Hour, Probe: 2 * time.Hour}},
		}
		c := simulate(t, cfg).Kept.Clocks
		if c.Jumps < 15 || c.Held < 100 || c.Outlived > 0 || by < time.Hour && c.Dropped > c.Held/3 {
			t.Errorf("jumps by up to %v: %+v", by, c)
		}
		if by > 48*time.Hour && c.Dropped < c.Held/4 {
			t.Errorf("jumps by up to %v: a clock set forward by days has made nothing too old: %+v", by, c)
		}
	}
}

// witness makes things happen by hand in a run that has not begun.
type witness struct {
	t *testing.T
	k *keeping
}

// withRecords returns a run of which all members are up and know nobody.
func withRecords(t *testing.T, cfg Config) (*run, *keeping, witness) {
	t.Helper()
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	for i := range r.members {
		r.comeUp(int32(i))
		r.counts(int32(i))
	}
	k := r.records
	for i := range k.records {
		k.records[i].owner, k.records[i].life = 1, 1
	}
	r.now = int64(time.Minute)
	return r, k, witness{t, k}
}

// put has member 1 put record i at member 2.
func (w witness) put(i int32) {
	w.t.Helper()
	rec, owner := &w.k.records[i], w.k.run.members[1].contact
	req := &protocol.Message{Type: protocol.PutValue, Key: rec.key, Record: rec.recordOf(), HasRecord: true}
	if rec.value == nil {
		req = &protocol.Message{Type: protocol.AddProvider, Key: rec.key, ProviderPeers: []protocol.Peer{owner.Peer}}
	}
	w.k.run.acting = 2
	if err := w.k.run.serveRecord(2, protocol.Remote{Peer: owner.ID}, req, &protocol.Message{}); err != nil {
		w.t.Fatal(err)
	}
}

// Every invariant of records can fail, and fails only then: each is broken here on
// purpose, and beside it the same with an excuse.
func TestEveryInvariantOfRecordsCanFail(t *testing.T) {
	id := func(r *run, i int) []peer.ID { return []peer.ID{r.members[i].contact.ID} }
	late := func(r *run) { r.now += int64(2 * calmFor) }
	missed := kademlia.Result{Err: kademlia.ErrNotFound}
	for _, c := range []struct {
		want     string // "" if the excuse holds
		sabotage func(r *run, k *keeping, w witness)
	}{
		{"does not hold it", func(r *run, k *keeping, _ witness) {
			k.acknowledged(k.begin(1, 0, firstPut), &kademlia.Result{Report: kademlia.Report{Holders: id(r, 2)}})
		}},
		{"", func(r *run, k *keeping, w witness) {
			w.put(0)
			k.acknowledged(k.begin(1, 0, firstPut), &kademlia.Result{Report: kademlia.Report{Holders: id(r, 2)}})
		}},
		{"", func(r *run, k *keeping, _ witness) { // who acknowledged is gone
			d := k.begin(1, 0, firstPut)
			r.goesDown(2, Refuse)
			k.acknowledged(d, &kademlia.Result{Report: kademlia.Report{Holders: id(r, 2)}})
		}},
		{"", func(r *run, k *keeping, _ witness) { // who acknowledged has lost it since
			d := k.begin(1, 0, firstPut)
			r.goesDown(2, Refuse)
			r.comeUp(2)
			k.acknowledged(d, &kademlia.Result{Report: kademlia.Report{Holders: id(r, 2)}})
		}},
		{"nobody of this run", func(_ *run, k *keeping, _ witness) {
			k.acknowledged(k.begin(1, 0, firstPut), &kademlia.Result{Report: kademlia.Report{Holders: []peer.ID{"x"}}})
		}},
		{"another value", func(_ *run, k *keeping, _ witness) {
			k.begin(3, 0, read).wasRead(epoch, kademlia.Result{Value: []byte("other")})
		}},
		{"never announced it", func(r *run, k *keeping, _ witness) {
			k.begin(3, 1, read).wasRead(epoch, kademlia.Result{Providers: []*kademlia.Contact{r.members[5].contact}})
		}},
		{"answered with record 0 and did not find", func(r *run, k *keeping, _ witness) {
			d := k.begin(3, 0, read)
			d.query, r.acting = 7, 3
			k.arriving(&protocol.Message{Type: protocol.GetValue, HasRecord: true})
			k.answered(7)
			d.wasRead(epoch, missed)
		}},
		{"", func(r *run, k *keeping, _ witness) { // the answer was another lookup's
			d := k.begin(3, 0, read)
			d.query, r.acting = 7, 3
			k.arriving(&protocol.Message{Type: protocol.GetValue, HasRecord: true})
			k.answered(8)
			d.wasRead(epoch, missed)
		}},
		{"in a calm network", func(r *run, k *keeping, w witness) {
			w.put(0)
			late(r)
			k.begin(3, 0, read).wasRead(epoch, missed)
		}},
		{"in a calm network", func(r *run, k *keeping, w witness) {
			w.put(1)
			late(r)
			k.begin(3, 1, read).wasRead(epoch, kademlia.Result{})
		}},
		{"", func(r *run, k *keeping, _ witness) { // nobody holds it
			late(r)
			k.begin(3, 0, read).wasRead(epoch, missed)
		}},
		{"", func(r *run, k *keeping, w witness) { // only the reader holds it, who does not ask itself
			w.put(0)
			late(r)
			k.begin(2, 0, read).wasRead(epoch, missed)
		}},
		{"", func(r *run, k *keeping, w witness) { // it came after the read began
			late(r)
			w.put(0)
			k.begin(3, 0, read).wasRead(epoch, missed)
		}},
		{"", func(r *run, k *keeping, w witness) { // a request has failed
			w.put(0)
			late(r)
			k.begin(3, 0, read).wasRead(epoch, kademlia.Result{Report: kademlia.Report{Failed: kademlia.Failures{Timeout: 1}}})
		}},
		{"", func(r *run, k *keeping, w witness) { // somebody has gone
			w.put(0)
			late(r)
			r.goesDown(4, Refuse)
			k.begin(3, 0, read).wasRead(epoch, missed)
		}},
		{"still holds record", func(r *run, k *keeping, w witness) {
			w.put(0)
			r.now += int64(k.cfg.MaxAge) + int64(2*time.Hour)
			k.off[2] = -int64(24 * time.Hour)
			k.aged(2)
		}},
		{"gave up record", func(r *run, k *keeping, w witness) {
			k.cfg.Jumps.By = 40 * time.Hour
			w.put(0)
			k.cfg.MaxAge = 1000 * time.Hour // more than the store was told
			for range 20 {
				k.jump(2)
			}
		}},
		{"ended 2 times", func(_ *run, k *keeping, _ witness) {
			d := k.begin(3, 0, read)
			d.wasRead(epoch, missed)
			d.wasRead(epoch, missed)
		}},
		{"1 operations on records have not ended", func(_ *run, k *keeping, _ witness) { k.begin(3, 0, read) }},
		{`"clock jump" was asked for`, func(_ *run, k *keeping, _ witness) { k.cfg.Jumps.Share = 0.5 }},
		{"due again at once", func(r *run, k *keeping, w witness) {
			w.put(0)
			s := k.stocks[2]
			for range mostIdle {
				s.wakeAt = r.now
				k.off[2] += int64(k.cfg.MaxAge)
				s.put[0] = r.now
				s.idle++
				k.sweep(2)
			}
		}},
	} {
		r, k, w := withRecords(t, Config{Nodes: 20, Records: Records{Values: 1, Providers: 1}})
		c.sabotage(r, k, w)
		report := r.report(time.Second)
		if c.want == "" {
			clear(k.open)
		}
		err := r.verdict(&report)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v", c.want, err)
		}
	}
}
