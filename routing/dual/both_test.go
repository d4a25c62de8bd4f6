package dual

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// An error says of both networks why, once where that is the same, and of an empty or
// abandoned one nothing where the other has something to say.
func TestMergedErrors(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	odd := errors.New("odd")
	empty := fmt.Errorf("%w: it is empty", routing.ErrNoPeers)
	for name, c := range map[string]struct {
		ctx      context.Context
		wan, lan error
		want     string
	}{
		"one is enough":         {t.Context(), nil, odd, "<nil>"},
		"so is the other":       {t.Context(), odd, nil, "<nil>"},
		"alike":                 {t.Context(), routing.ErrNotFound, routing.ErrNotFound, routing.ErrNotFound.Error()},
		"different":             {t.Context(), routing.ErrNotFound, odd, routing.ErrNotFound.Error() + "; and in the local network: odd"},
		"lan left":              {t.Context(), odd, ErrLeft, "odd"},
		"wan left":              {t.Context(), ErrLeft, odd, "odd"},
		"lan empty":             {t.Context(), odd, empty, "odd"},
		"wan empty":             {t.Context(), empty, odd, "odd"},
		"both empty":            {t.Context(), empty, empty, empty.Error()},
		"each in its way empty": {t.Context(), routing.ErrNoPeers, empty, routing.ErrNoPeers.Error() + "; and in the local network: " + empty.Error()},
		"called off":            {ended, odd, context.Canceled, "context canceled"},
		"called off, empty":     {ended, context.Canceled, empty, "context canceled"},
		"over, for another end": {ended, odd, empty, "odd"},
	} {
		if got := merge(c.ctx, c.wan, c.lan); fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Who has found addresses waits a second for more, who has none until the end.
func TestWaitForMoreAddresses(t *testing.T) {
	found := peer.AddrInfo{Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}}
	for a, want := range map[*answer[peer.AddrInfo]]time.Duration{
		{value: found}:                                     time.Second,
		{value: found, err: context.Canceled}:              forever,
		{value: peer.AddrInfo{ID: "a"}}:                    forever,
		{value: peer.AddrInfo{}, err: routing.ErrNotFound}: forever,
	} {
		if got := forMore(a); got != want {
			t.Errorf("%v, %v: waits %v, want %v", a.value, a.err, got, want)
		}
	}
}

// A network that is not waited for any more is called off, and what it did by then is
// not told.
func TestTheOtherIsCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, quick := range []bool{true, false} { // whether the public network is
			d := &DHT{WAN: new(routing.DHT), LAN: new(routing.DHT), ctx: t.Context()}
			var report Report
			start := time.Now()
			p := both(WithReport(t.Context(), &report), d, func(ctx context.Context, side *routing.DHT) (int, error) {
				routing.FillReport(ctx, routing.Report{Asked: 1})
				if (side == d.WAN) == quick {
					return 1, nil
				}
				<-ctx.Done()
				return 2, ctx.Err()
			}, func(*answer[int]) time.Duration { return time.Second })
			left, done := p.lan, p.wan
			if !quick {
				left, done = done, left
			}
			if !errors.Is(left.err, ErrLeft) || left.report.Asked != 0 || done.value != 1 || done.err != nil || time.Since(start) != time.Second {
				t.Errorf("after %v: %+v and %+v", time.Since(start), done, left)
			}
			if report.WAN.Asked+report.LAN.Asked != 1 || errors.Is(report.LANErr, ErrLeft) != quick || errors.Is(report.WANErr, ErrLeft) == quick {
				t.Errorf("report: %+v", report)
			}
			d.running.Wait() // or the bubble is stuck: nothing else would end it
		}
	})
}
