package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds on what FindProviders believes: deployed servers answer with up to
// 4 MiB of providers, ours with MaxAnswerProviders.
const (
	maxProvidersTaken = 4 * protocol.MaxAnswerProviders
	maxProvidersFound = 4096
)

// findProviders wants up to count providers of a key, all there are if 0.
type findProviders struct {
	findNode
	count     int
	found     func(*Contact)
	providers []*Contact
	index     map[peer.ID]int // position in providers
}

func (g *findProviders) response(_ time.Time, q *query, from *Contact, m *protocol.Message) bool {
	peers := m.ProviderPeers[:min(len(m.ProviderPeers), maxProvidersTaken)]
	if len(peers) > 0 {
		q.report.Holders = append(q.report.Holders, from.ID)
	}
	for _, i := range q.node.cfg.Rand.Perm(len(peers)) { // wire.md §9: nobody is first by being sent first
		c := q.node.contactIn(&peers[i])
		if c == nil || c.ID == q.node.self.ID || !g.take(c) {
			continue
		}
		if g.found != nil {
			g.found(c)
		}
		if q.finished { // canceled by who was told
			return true
		}
		if g.enough() {
			return true
		}
	}
	return false
}

func (g *findProviders) enough() bool {
	return g.count > 0 && len(g.providers) >= g.count || len(g.providers) >= maxProvidersFound
}

// take notes a provider and reports whether it is news: a new one, or addresses
// of one that had none.
func (g *findProviders) take(c *Contact) bool {
	i, known := g.index[c.ID]
	if !known {
		g.index[c.ID] = len(g.providers)
		g.providers = append(g.providers, c)
		return true
	}
	if g.providers[i].HasAddrs() || !c.HasAddrs() {
		return false
	}
	g.providers[i] = c
	return true
}

func (g *findProviders) fill(_ time.Time, _ *query, r *Result) { r.Providers = g.providers }
