package dashboard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// maxAddrs and maxText bound what is shown of what a peer says of itself.
	maxAddrs = 4
	maxText  = 96
)

// Of returns a running node as a Source.
func Of(n *live.Node) Source { return node{n} }

// node is a Source of this process.
type node struct{ *live.Node }

func (n node) Stats() routing.Stats               { return n.DHT().Stats() }
func (n node) Latencies() routing.Latencies       { return n.DHT().Latencies() }
func (n node) Buckets() []kademlia.BucketInfo     { return n.DHT().Buckets() }
func (n node) Size() (peers, samples int)         { return n.DHT().NetworkSize() }
func (n node) SizeSamples() []kademlia.SizeSample { return n.DHT().NetworkSizeSamples() }

func (n node) WatchLookups(w func(routing.LookupStep)) (stop func(), err error) {
	return n.DHT().WatchLookups(w)
}

// Terms implements Source.
func (n node) Terms() Terms {
	t := n.DHT().Timing()
	return Terms{K: n.DHT().K(), Suspect: t.Suspect.Milliseconds(), Probe: t.Probe.Milliseconds(), Refresh: t.Refresh.Milliseconds()}
}

// Connected implements Source.
func (n node) Connected() map[string]bool {
	all := make(map[string]bool)
	for _, id := range n.Host().Network().Peers() {
		all[id.String()] = true
	}
	return all
}

// PeerRows implements Source.
func (n node) PeerRows(max int) (rows []PeerRow, total int) {
	h := n.Host()
	connected := h.Network().Peers()
	slices.Sort(connected)
	at := make(map[peer.ID]int)
	for _, id := range connected {
		if total++; len(rows) < max {
			at[id] = len(rows)
			rows = append(rows, connectedRow(h, id))
		}
	}
	for _, b := range n.Buckets() {
		for _, e := range b.Peers {
			id := e.Contact.ID
			i, known := at[id]
			if !known && h.Network().Connectedness(id) == network.Connected {
				continue // it was cut
			}
			if !known {
				if total++; len(rows) >= max {
					continue
				}
				i = len(rows)
				rows = append(rows, PeerRow{ID: id.String(), Agent: agent(h, id), Addrs: shown(h.Peerstore().Addrs(id))})
			}
			rows[i].Bucket = b.Prefix
			rows[i].Took = float64(e.Took.Microseconds()) / 1000
		}
	}
	return rows, total
}

// connectedRow describes a peer by its connections.
func connectedRow(h host.Host, id peer.ID) PeerRow {
	row := PeerRow{ID: id.String(), Agent: agent(h, id), Connected: true, Addrs: []string{}, Bucket: -1}
	var in, out bool
	var since time.Time
	var addrs []multiaddr.Multiaddr
	for _, c := range h.Network().ConnsToPeer(id) {
		stat := c.Stat()
		in, out = in || stat.Direction == network.DirInbound, out || stat.Direction == network.DirOutbound
		if since.IsZero() || stat.Opened.Before(since) {
			since = stat.Opened
		}
		row.Streams += len(c.GetStreams())
		if t := transport(c.RemoteMultiaddr()); !strings.Contains(row.Transport, t) {
			row.Transport = strings.TrimPrefix(row.Transport+"+"+t, "+")
		}
		addrs = append(addrs, c.RemoteMultiaddr())
	}
	switch {
	case in && out:
		row.Direction = "both"
	case in:
		row.Direction = "in"
	case out:
		row.Direction = "out"
	}
	row.Since, row.Addrs = millis(since), shown(addrs)
	return row
}

// transport names what a connection runs on.
func transport(a multiaddr.Multiaddr) string {
	for _, t := range []struct {
		code int
		name string
	}{
		{multiaddr.P_CIRCUIT, "relay"},
		{multiaddr.P_WEBTRANSPORT, "webtransport"},
		{multiaddr.P_WEBRTC_DIRECT, "webrtc"},
		{multiaddr.P_QUIC_V1, "quic"},
		{multiaddr.P_WS, "ws"},
		{multiaddr.P_TCP, "tcp"},
	} {
		if _, err := a.ValueForProtocol(t.code); err == nil {
			return t.name
		}
	}
	return "other"
}

func agent(h host.Host, id peer.ID) string {
	v, err := h.Peerstore().Get(id, "AgentVersion")
	text, ok := v.(string)
	if err != nil || !ok {
		return ""
	}
	return cut(text)
}

// shown returns the first of a peer's addresses.
func shown(addrs []multiaddr.Multiaddr) []string {
	texts := make([]string, 0, maxAddrs)
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		texts = append(texts, cut(a.String()))
	}
	return texts
}

// cut returns what is shown of a text that somebody else has chosen.
func cut(text string) string {
	runes := []rune(text[:min(len(text), 4*maxText)])
	if len(runes) > maxText {
		runes = append(runes[:maxText], '…')
	}
	return control.Clean(string(runes))
}

// RecordRows implements Source.
func (n node) RecordRows(ctx context.Context, max, scan int) (RecordRows, error) {
	now := time.Now()
	out := RecordRows{Rows: []RecordRow{}, Namespaces: []NamespaceRow{}, All: true}
	err := n.EachValue(ctx, func(rec protocol.Record, age, left time.Duration) bool {
		if out.Scanned == scan {
			out.All = false
			return false
		}
		out.Scanned++
		row := RecordRow{
			Name: cut(input.ShowKey(rec.Key)), Namespace: "?", Bytes: len(rec.Key) + len(rec.Value), Served: n.DHT().TimesServed(rec.Key),
			Put: now.Add(-age).Truncate(time.Second).UnixMilli(),
		}
		if ns, _, err := record.SplitKey(string(rec.Key)); err == nil {
			row.Namespace = cut(ns)
		}
		if left > 0 {
			row.Expires = now.Add(left).Truncate(time.Second).UnixMilli()
		}
		out.Rows = append(out.Rows, row)
		out.count(&row)
		return true
	})
	// Those that others ask for come first, then those that end soonest.
	slices.SortStableFunc(out.Rows, func(a, b RecordRow) int {
		return cmp.Or(cmp.Compare(b.Served, a.Served), cmp.Compare(a.Expires, b.Expires), strings.Compare(a.Name, b.Name))
	})
	out.Rows = out.Rows[:min(max, len(out.Rows))]
	return out, err
}

// maxNamespaces bounds how many namespaces are counted apart.
const maxNamespaces = 50

// count adds a value to its namespace.
func (r *RecordRows) count(row *RecordRow) {
	i := slices.IndexFunc(r.Namespaces, func(n NamespaceRow) bool { return n.Name == row.Namespace })
	if i < 0 {
		if len(r.Namespaces) == maxNamespaces {
			return
		}
		i = len(r.Namespaces)
		r.Namespaces = append(r.Namespaces, NamespaceRow{Name: row.Namespace, Oldest: row.Put, Expires: row.Expires})
	}
	n := &r.Namespaces[i]
	n.Values, n.Bytes, n.Served = n.Values+1, n.Bytes+row.Bytes, n.Served+row.Served
	n.Oldest = min(n.Oldest, row.Put)
	if row.Expires > 0 && (n.Expires == 0 || row.Expires < n.Expires) {
		n.Expires = row.Expires
	}
}
