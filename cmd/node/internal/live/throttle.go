package live

import (
	"context"
	"net/netip"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
)

// maxLimited bounds the list of those that are limited.
const maxLimited = 1000

// Throttle implements control.Throttler.
func (n *Node) Throttle(_ context.Context, r control.ThrottleRequest) (*control.Throttle, error) {
	s := n.dht.Stats()
	t := &control.Throttle{
		Limits: asLimits(n.dht.Limits()), Workers: s.Load.Workers, Busy: s.Load.Busy, Waiting: s.Load.Waiting,
		Limited: []control.Limited{}, Requests: requestCounts(&s), Streams: streamCounts(&s),
	}
	for _, f := range n.dht.Limited(min(r.Count, maxLimited)) {
		out := control.Limited{
			Reason: f.Reason, Level: f.Level, Wait: control.Millis(f.Wait), Paused: f.Paused, Refused: f.Refused, Since: f.Since, Last: f.Last,
		}
		if f.Peer != "" {
			out.Peer = f.Peer.String()
		}
		if f.Subnet.IsValid() {
			out.Subnet = f.Subnet.String()
		}
		t.Limited = append(t.Limited, out)
	}
	return t, nil
}

// requestCounts names what became of requests, in both formats.
func requestCounts(s *routing.Stats) map[string]uint64 {
	counts := map[string]uint64{
		"paused":          s.Limiter.Paused,
		"refused_peer":    s.Limiter.LimitedByPeer,
		"refused_egress":  s.Limiter.LimitedByEgress,
		"refused_subnet":  s.Limiter.LimitedBySubnet,
		"refused_total":   s.Limiter.LimitedInTotal,
		"waited":          s.Load.Waited,
		"shed_own_queue":  s.Load.ShedByPeer,
		"shed_for_others": s.Load.ShedForOthers,
		"shed_late":       s.Load.ShedLate,
	}
	for _, server := range []*rpc.ServerStats{&s.Server, &s.JSON} {
		all := append(server.Types[:], server.Other)
		for _, t := range all {
			counts["served"] += t.Served
			counts["malformed"] += t.Malformed
			counts["unhandled"] += t.Unhandled
			counts["refused_handler"] += t.Refused
			counts["failed"] += t.Failed + t.Panicked
		}
	}
	return counts
}

// streamCounts names what became of inbound streams.
func streamCounts(s *routing.Stats) map[string]uint64 {
	i := &s.Inbound
	return map[string]uint64{
		"open": uint64(i.Streams), "accepted": i.Accepted, "ended": i.Ended, "reset_full": i.Refused.Full, "reset_gave_way": i.Refused.GaveWay,
		"reset_buffers": i.Refused.Buffers, "reset_resources": i.Refused.Resources, "reset_silent": i.Refused.Silent,
		"reset_violation": i.Refused.Violations, "reset_handler": i.Refused.Handler,
	}
}

// asLimits writes no limit as 0.
func asLimits(l rpc.Limits) control.Limits {
	return control.Limits{
		PeerRate: max(0, l.PerPeer.PerSecond), PeerBurst: max(0, l.PerPeer.Burst), TotalRate: max(0, l.Total.PerSecond),
		TotalBurst: max(0, l.Total.Burst), Near: l.Near, Far: l.Far, Egress: max(0, l.Egress), Bursts: max(0, l.Bursts),
	}
}

// SetThrottle implements control.Throttler.
func (n *Node) SetThrottle(ctx context.Context, r control.SetThrottleRequest) (*control.Throttle, error) {
	l := n.dht.Limits()
	setRate(&l.PerPeer, r.PeerRate, r.PeerBurst)
	setRate(&l.Total, r.TotalRate, r.TotalBurst)
	for _, f := range []struct{ field, given *float64 }{{&l.Near, r.Near}, {&l.Far, r.Far}, {&l.Egress, r.Egress}, {&l.Bursts, r.Bursts}} {
		if f.given != nil {
			*f.field = *f.given
		}
	}
	if l.Egress == 0 {
		l.Egress = -1
	}
	if r.Workers != nil && *r.Workers < 0 {
		return nil, control.Errorf(control.Usage, "%d workers are not possible: give 1 or more, or 0 for as many as suit this machine", *r.Workers)
	}
	for _, d := range n.dhts() {
		if err := d.SetLimits(l); err != nil {
			return nil, control.Errorf(control.Usage, "%s", control.Line(err))
		}
		if r.Workers != nil {
			d.SetWorkers(*r.Workers)
		}
	}
	return n.Throttle(ctx, control.ThrottleRequest{})
}

// setRate changes what is given. A new rate without a new burst gets the burst
// that suits it.
func setRate(r *rpc.Rate, perSecond, burst *float64) {
	if perSecond != nil {
		*r = rpc.Rate{PerSecond: *perSecond}
		if *perSecond == 0 {
			*r = rpc.Unlimited
		}
	}
	if burst != nil {
		r.Burst = *burst
	}
}

// Release implements control.Throttler.
func (n *Node) Release(_ context.Context, r control.ReleaseRequest) (*control.Released, error) {
	if subnet, err := netip.ParsePrefix(r.Who); err == nil {
		subnet = subnet.Masked()
		return &control.Released{Who: subnet.String(), Held: n.dht.ReleaseSubnet(subnet)}, nil
	}
	p, err := input.Peer(r.Who)
	if err != nil {
		return nil, control.Errorf(control.Usage, "%.80q is neither a peer id nor a subnet: give one as `kdht throttle` lists it", r.Who)
	}
	return &control.Released{Who: p.ID.String(), Held: n.dht.Release(p.ID)}, nil
}
