package sim

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
)

// Limits is what every honest member lets others ask for, by the limiter that runs
// live (protocol/rpc).
type Limits struct {
	On bool
	// PerSecond is how many units each peer may use in a second, Burst how many at
	// once (100, 1,000). Subnets bounds /24s and /16s as well.
	PerSecond, Burst float64
	Subnets          bool
}

func (l *Limits) fill() {
	orDefault(&l.PerSecond, rpc.DefaultPeerRate.PerSecond)
	orDefault(&l.Burst, rpc.DefaultPeerRate.Burst)
}

// admits asks the target's limiter, if there are any, whether flight i is served,
// and returns when its answer comes back. A request that is to be paused is
// answered so much later: live, it is the next read of its stream that is put off,
// which comes to the same for who sends one after another.
//
// late is how much later than now it is read: the time of those before it on its stream.
func (r *run) admits(i int32, back, late int64) (at int64, served bool) {
	fl := &r.net.all[i]
	c := &r.cfg.Link.Limits
	if !c.On || r.plot.role(fl.to) != honest {
		return back, true
	}
	l := r.gates[fl.to]
	if l == nil {
		l = rpc.NewLimiter(rpc.LimiterConfig{PerPeer: rpc.Rate{PerSecond: c.PerSecond, Burst: c.Burst}, Subnets: c.Subnets})
		r.gates[fl.to] = l
	}
	pause, err := l.Admit(r.time(fl.to).Add(time.Duration(late)), r.remote(fl.from), fl.req.Type, protocol.Size(fl.req))
	if err != nil {
		if r.plot.role(fl.from) == honest {
			r.plot.score.bystanders++
		}
		r.fail(i, back, protocol.ErrRefused, Limited)
		return 0, false
	}
	return back + int64(pause), true
}

// charges has the target's limiter count the answer to flight i.
func (r *run) charges(fl *flight) {
	if l := r.gates[fl.to]; l != nil {
		l.Charge(r.time(fl.to), r.remote(fl.from), protocol.Size(fl.resp))
	}
}

// remote returns a member as who it asks sees it.
func (r *run) remote(i int32) protocol.Remote {
	c := r.members[i].contact
	return protocol.Remote{Peer: c.ID, IP: ipOf(c.Peer.Addrs[0])}
}
