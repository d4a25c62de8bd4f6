package live

import (
	"encoding/hex"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// announcing says how far a node is with its own keys.
func announcing(s *routing.Stored) control.Announcing {
	r := &s.Reprovide
	a := control.Announcing{
		Period: max(0, r.Period.Seconds()), Due: s.Due, Region: hex.EncodeToString(r.Next[:2]), Done: r.Done, Behind: r.Behind.Seconds(),
		Visiting: r.Visiting, Peers: r.Peers, Now: cycle(&r.Now),
	}
	if !r.Before.Ended.IsZero() {
		before := cycle(&r.Before)
		a.Before = &before
	}
	return a
}

func cycle(c *kademlia.Cycle) control.Cycle {
	return control.Cycle{
		Visits: c.Visits, Keys: c.Keys, Taken: c.Taken, Failed: c.Failed, Asked: c.Asked, Sent: c.Sent, Longest: c.Longest.Seconds(),
	}
}
