package kademlia

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// desk is one Node driven by hand: what it sends is written down, what it is
// answered comes from the scenario. Peers are called p0, p1, …; p0 is the Node.
// Every scenario in testdata/scenarios reads as a transcript; rerun with
// -rewrite after an intended change and read the difference.
type desk struct {
	node  *Node
	now   time.Time
	out   *bytes.Buffer
	names map[peer.ID]string
	open  map[RequestID]*Contact
	quiet bool // there is no refresh until the scenario asks for one
}

func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		d := &desk{}
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			if td.Cmd == "node" {
				d = newDesk(t, td)
				return ""
			}
			d.out = &bytes.Buffer{}
			d.do(t, td)
			return d.out.String()
		})
	})
}

// newDesk makes the Node: node [k=2] [alpha=2] [beta=1] [paths=1], and its periods. It
// refreshes only if told how often.
func newDesk(t *testing.T, td *datadriven.TestData) *desk {
	d := &desk{now: epoch, out: &bytes.Buffer{}, names: map[peer.ID]string{}, open: map[RequestID]*Contact{}}
	for i := range 64 {
		d.names[testID(uint64(i))] = "p" + strconv.Itoa(i)
	}
	cfg := Config{
		Self: testID(0), Network: d, Rand: rand.New(rand.NewPCG(1, 1)), K: 2, Alpha: 2, Beta: 1, Validator: longest{},
		Timing: Timing{Refresh: -1},
		Trace: &Trace{
			Admitted: func(c *Contact) { d.printf("%s is admitted", d.name(c)) },
			Evicted:  func(c *Contact, reason error) { d.printf("%s is evicted: %v", d.name(c), reason) },
		},
	}
	td.MaybeScanArgs(t, "k", &cfg.K)
	td.MaybeScanArgs(t, "alpha", &cfg.Alpha)
	td.MaybeScanArgs(t, "beta", &cfg.Beta)
	td.MaybeScanArgs(t, "paths", &cfg.Paths)
	refreshes := d.timing(t, td, &cfg.Timing)
	node, err := NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if td.HasArg("stock") {
		node.SetStock(d)
	}
	d.quiet, node.refresher.running = !refreshes, !refreshes
	node.SetAddrs([][]byte{testAddr(0)})
	d.node = node
	return d
}

// longest is a Validator under which the longer value is the better one and
// "bad" is invalid.
type longest struct{}

func (longest) Validate(_ string, value []byte) error {
	if string(value) == "bad" {
		return fmt.Errorf("bad")
	}
	return nil
}

func (longest) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if len(v) > len(values[best]) {
			best = i
		}
	}
	return best, nil
}

func (d *desk) printf(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *desk) name(c *Contact) string {
	name := d.names[c.ID]
	n, _ := strconv.ParseUint(strings.TrimPrefix(name, "p"), 10, 64)
	return name + whereabouts(&c.Peer, n)
}

func (d *desk) list(contacts []*Contact) string {
	var names []string
	for _, c := range contacts {
		names = append(names, d.name(c))
	}
	return strings.Join(names, " ")
}

// Send implements Network: it writes down and sends nothing.
func (d *desk) Send(id RequestID, to *Contact, req *protocol.Message) {
	d.open[id] = to
	what := string(req.Key)
	if name := d.names[peer.ID(req.Key)]; name != "" {
		what = name
	}
	if req.HasRecord {
		what += "=" + string(req.Record.Value)
		if ttl := req.Record.TTL(); ttl > 0 {
			what += " for " + ttl.String()
		}
	}
	what = printable(what)
	for i := range req.ProviderPeers {
		if p := &req.ProviderPeers[i]; len(whereabouts(p, 0)) > 0 {
			what += " at p0" + whereabouts(p, 0)
		}
	}
	d.printf("#%d %v(%s) to %s", id, req.Type, what, d.name(to))
}

// printable hides keys that are random bytes.
func printable(s string) string {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return "random"
		}
	}
	return s
}

func (d *desk) done(q string) func(time.Time, Result) {
	return func(_ time.Time, r Result) {
		d.printf("%s is done: closest [%s]", q, d.list(r.Closest))
		if r.Value != nil {
			d.printf("  value %s", r.Value)
		}
		if r.Providers != nil {
			d.printf("  providers [%s]", d.list(r.Providers))
		}
		var holders []string
		for _, id := range r.Report.Holders {
			holders = append(holders, d.names[id])
		}
		d.printf("  asked %d, answered %d, failed %d, hops %d, holders %v, after %v",
			r.Report.Asked, r.Report.Answered, r.Report.Failed.Total(), r.Report.Hops, holders, r.Report.Duration)
		if r.Report.Joined || r.Report.Recalled {
			d.printf("  joined %v, recalled %v", r.Report.Joined, r.Report.Recalled)
		}
		if r.Err != nil {
			d.printf("  error: %v", r.Err)
		}
	}
}

// do runs one command of a scenario.
func (d *desk) do(t *testing.T, td *datadriven.TestData) {
	if d.prepare(t, td) || d.stocked(t, td) {
		return
	}
	var key string
	if len(td.CmdArgs) > 0 {
		key = td.CmdArgs[0].Key
	}
	if td.HasArg("afresh") {
		d.node.joint.alone = true
		defer func() { d.node.joint.alone = false }()
	}
	who := key
	td.MaybeScanArgs(t, "as", &who)
	switch td.Cmd {
	case "seen":
		for _, a := range td.CmdArgs {
			d.node.PeerSeen(d.now, d.peer(t, a.Key))
		}
	case "gone":
		d.node.PeerGone(d.now, d.peer(t, key).ID)
	case "find-node":
		d.node.FindNode(d.now, []byte(key), d.done(who))
	case "find-peer":
		d.node.FindPeer(d.now, d.peer(t, key).ID, d.done(who))
	case "find-value":
		o := ValueOptions{Found: func(v []byte, _ *Contact) { d.printf("%s: better value %s", who, v) }}
		td.MaybeScanArgs(t, "quorum", &o.Quorum)
		if local := ""; td.HasArg("local") {
			td.ScanArgs(t, "local", &local)
			o.Local = []byte(local)
		}
		d.node.FindValue(d.now, []byte(key), o, d.done(who))
	case "find-providers":
		var count int
		td.MaybeScanArgs(t, "count", &count)
		d.node.FindProviders(d.now, []byte(key), count, func(c *Contact) { d.printf("%s: provider %s", who, d.name(c)) }, d.done(who))
	case "store":
		d.node.Store(d.now, protocol.Record{Key: []byte(key), Value: []byte(td.CmdArgs[1].Key)}, d.done(key))
	case "provide":
		d.node.Provide(d.now, []byte(key), d.done(key))
	default:
		d.answer(t, td, key)
	}
}

// answer runs the commands that end requests, let time pass, or look.
func (d *desk) answer(t *testing.T, td *datadriven.TestData, key string) {
	switch td.Cmd {
	case "answer":
		id := d.request(t, key)
		d.node.HandleResponse(d.now, id, d.message(t, td), nil)
	case "fail":
		reason := map[string]error{
			"unreachable": protocol.ErrUnreachable, "timeout": protocol.ErrTimeout, "refused": protocol.ErrRefused,
			"malformed": protocol.ErrMalformed, "unsupported": protocol.ErrUnsupported, "local": protocol.ErrLocal,
		}[td.CmdArgs[1].Key]
		d.node.HandleResponse(d.now, d.request(t, key), nil, reason)
	case "advance":
		end := d.now.Add(duration(t, key))
		for next := d.node.NextDeadline(); !next.IsZero() && !next.After(end); next = d.node.NextDeadline() {
			d.now = next
			d.node.Advance(d.now)
		}
		d.now = end
	case "refresh":
		if d.quiet {
			d.quiet, d.node.refresher.running = false, false
		}
		d.node.Refresh(d.now, func(time.Time) { d.printf("refreshed") })
	case "cancel":
		for id := QueryID(1); id <= d.node.lastQuery; id++ {
			d.node.Cancel(d.now, id)
		}
	case "table":
		for _, b := range d.node.Buckets() {
			var names []string
			for _, e := range b.Peers {
				names = append(names, d.name(e.Contact))
			}
			d.printf("prefix %d: %s (%d waiting)", b.Prefix, strings.Join(names, " "), b.Replacements)
		}
	case "nearest":
		d.printf("%s", d.nearest(key))
	default:
		t.Fatalf("unknown command %s", td.Cmd)
	}
}

// nearest lists peers p1…p30 by distance to a key, for whoever writes scenarios.
func (d *desk) nearest(key string) string {
	target := keyspace.KeyOf([]byte(key))
	var all []*Contact
	for i := range uint64(31) {
		all = append(all, testContact(i))
	}
	sort.Slice(all, func(i, j int) bool { return keyspace.CompareDistance(&target, &all[i].Key, &all[j].Key) < 0 })
	return d.list(all)
}

func (d *desk) request(t *testing.T, key string) RequestID {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "#"))
	if err != nil || d.open[RequestID(n)] == nil {
		t.Fatalf("%q is no request on its way", key)
	}
	return RequestID(n)
}

// message is the answer: closer=(p1,p2) value=x providers=(p3).
func (d *desk) message(t *testing.T, td *datadriven.TestData) *protocol.Message {
	m := &protocol.Message{}
	for _, a := range td.CmdArgs[1:] {
		switch a.Key {
		case "closer":
			for _, name := range a.Vals {
				m.CloserPeers = append(m.CloserPeers, d.peer(t, name).Peer)
			}
		case "providers":
			for _, name := range a.Vals {
				m.ProviderPeers = append(m.ProviderPeers, d.peer(t, name).Peer)
			}
		case "value":
			m.HasRecord, m.Record = true, protocol.Record{Key: []byte(a.Vals[0]), Value: []byte(a.Vals[1])}
		}
	}
	return m
}
