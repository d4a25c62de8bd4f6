package kademlia

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/kdht/kdht/protocol"
)

// What scenarios are written in, beyond one call a command.
//
// A peer pN stands under its own address; p9@3 is p9 under the address of p3,
// p9@9+3 under both, and p9@nowhere is p9 without any.

// timing reads the periods of a node: probe=off refresh=10m reprovide=22h …
func (d *desk) timing(t *testing.T, td *datadriven.TestData, into *Timing) (refreshes bool) {
	for name, period := range map[string]*time.Duration{
		"probe": &into.Probe, "refresh": &into.Refresh, "reprovide": &into.Reprovide, "retry": &into.Retry, "cache": &into.Cache, "suspect": &into.Suspect,
		"fresh": &into.Fresh, "missing": &into.Missing,
		"replicate": &into.Replicate, "republish": &into.Republish,
	} {
		text := ""
		if td.MaybeScanArgs(t, name, &text); text == "" {
			continue
		}
		*period = -1
		if text != "off" {
			*period = duration(t, text)
		}
	}
	return into.Refresh > 0
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// prepare runs the commands that shape the node's surroundings, or let time pass,
// and reports whether td is one of them.
func (d *desk) prepare(t *testing.T, td *datadriven.TestData) bool {
	switch td.Cmd {
	case "members":
		for _, a := range td.CmdArgs {
			if !d.node.table.insert(d.now, d.peer(t, a.Key)) {
				t.Fatalf("%s: no room for %s", td.Pos, a.Key)
			}
		}
	case "move":
		d.node.SetAddrs(nil)
		for _, a := range td.CmdArgs {
			d.node.SetAddrs([][]byte{testAddr(number(t, a.Key))})
		}
	case "stats":
		d.printf("%+v", d.node.CacheStats())
	case "call-off":
		d.node.Cancel(d.now, QueryID(number(t, td.CmdArgs[0].Key)))
	case "watch":
		d.watch(duration(t, td.CmdArgs[0].Key))
	default:
		return false
	}
	return true
}

// watch lets time pass and says when what happens.
func (d *desk) watch(span time.Duration) {
	begin, end := d.now, d.now.Add(span)
	for next := d.node.NextDeadline(); !next.IsZero() && !next.After(end); next = d.node.NextDeadline() {
		d.now = next
		before := d.out.Len()
		d.node.Advance(d.now)
		if news := slices.Clone(d.out.Bytes()[before:]); len(news) > 0 {
			d.out.Truncate(before)
			d.printf("after %v:", d.now.Sub(begin))
			d.out.Write(news)
		}
	}
	d.now = end
}

// peer is who a scenario calls name.
func (d *desk) peer(t *testing.T, name string) *Contact {
	who, where, moved := strings.Cut(name, "@")
	n := number(t, strings.TrimPrefix(who, "p"))
	if !moved {
		return testContact(n)
	}
	var addrs [][]byte
	for at := range strings.SplitSeq(where, "+") {
		if at != "nowhere" {
			addrs = append(addrs, testAddr(number(t, at)))
		}
	}
	return NewContact(testID(n), addrs)
}

func number(t *testing.T, text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 24)
	if err != nil {
		t.Fatalf("%q is no peer", text)
	}
	return n
}

// whereabouts is what follows the name of a peer that does not stand under its
// own address.
func whereabouts(p *protocol.Peer, n uint64) string {
	var at []string
	for _, a := range p.Addrs {
		at = append(at, strconv.Itoa(int(a[2])<<16|int(a[3])<<8|int(a[4])))
	}
	switch where := strings.Join(at, "+"); where {
	case strconv.FormatUint(n, 10):
		return ""
	case "":
		return "@nowhere"
	default:
		return "@" + where
	}
}
