package kademlia

import (
	"errors"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
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
	wary      bool
	held      []claims
}

// claims is whom one peer has named as providers while the walk was wary. There is no
// telling which of the claims of many peers are true: those of each get an equal
// share of what is wanted, when all have been asked.
type claims struct {
	from  *Contact
	named []*Contact
}

// regional implements goal: a provider that honest peers know is worth more than many
// that others name.
func (g *findProviders) regional() bool { return true }

func (g *findProviders) response(now time.Time, q *query, from *Contact, m *protocol.Message) bool {
	peers := m.ProviderPeers[:min(len(m.ProviderPeers), maxProvidersTaken)]
	if len(peers) == 0 {
		return false
	}
	q.report.Holders = append(q.report.Holders, from.ID)
	g.wary = g.wary || q.wary(now)
	most := len(peers)
	if g.wary {
		most = min(most, protocol.MaxAnswerProviders)
	}
	hold := claims{from: from}
	for _, i := range q.node.cfg.Rand.Perm(len(peers))[:most] { // wire.md §9: nobody is first by being sent first
		c := q.node.contactIn(&peers[i])
		if c == nil || c.ID == q.node.self.ID {
			continue
		}
		if g.wary && g.count > 0 {
			hold.named = append(hold.named, c)
			continue
		}
		g.tell(c)
		if q.finished || g.enough() { // canceled by who was told
			return true
		}
	}
	if len(hold.named) > 0 {
		g.held = append(g.held, hold)
	}
	return false
}

// tell takes in one provider.
func (g *findProviders) tell(c *Contact) {
	if g.take(c) && g.found != nil {
		g.found(c)
	}
}

// weigh takes in what was held back: one claim of each peer after the other, of the
// farthest first, since those made to sit next to the key are nearest.
func (g *findProviders) weigh(target *keyspace.Key) {
	slices.SortFunc(g.held, func(a, b claims) int { return keyspace.CompareDistance(target, &b.from.Key, &a.from.Key) })
	for round, more := 0, true; more; round++ {
		more = false
		for i := range g.held {
			if named := g.held[i].named; round < len(named) && !g.enough() {
				g.tell(named[round])
				more = true
			}
		}
	}
	g.held = nil
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

func (g *findProviders) fill(_ time.Time, q *query, r *Result) {
	if !errors.Is(r.Err, ErrCanceled) {
		g.weigh(&q.target)
	}
	r.Providers = g.providers
}
