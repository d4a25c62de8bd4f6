package measure

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kdht/kdht/test/hostile"
)

// Times are how long the parts of a trial take. After is counted from the end of
// the attackers' process.
type Times struct{ Quiet, Attack, After time.Duration }

// Side is what the honest clients of one node met in one part of a trial.
type Side struct {
	Requests, Failed    int
	P50, P99            time.Duration
	Newcomers, Rejected int
	NewcomerP99         time.Duration
	Reason              string // of the last failure
}

// Part is one part of a trial: both nodes, and what the target's process was like.
type Part struct {
	Took          time.Duration
	Target, Twin  Side
	RSS, RSSMost  int64 // at its end, and the most that was seen
	Goroutines    int   // the most seen
	Conns         int   // the most seen
	Streams       int   // the most seen, of its protocol
	StreamsOfOne  int   // the most seen of one peer
	Cores         float64
	TwinRSS       int64
	Begin, Finish State
}

// Trial is what one attack did.
type Trial struct {
	Attack                string
	Settings              Settings
	Before, During, After Part
	Result                hostile.Result
	Lost                  int64 // connections of honest clients that ended
	Lookups               int   // of the target, asked for during the attack
	Died                  string
	Log                   string // what the target wrote on its standard error
}

// Try runs one attack. An attack that kills the target is no error: Died says so.
func (b *Bench) Try(ctx context.Context, attack string, times Times, lookups bool) (*Trial, error) {
	t := &Trial{Attack: attack, Settings: b.Settings}
	err := b.part(ctx, &t.Before, waits(times.Quiet))
	if err != nil {
		return t, err
	}
	lost := b.target.load.lost.Load()
	err = b.part(ctx, &t.During, func(ctx context.Context) (began time.Time, err error) {
		began, t.Result, err = b.attack(ctx, attack, times.Attack, func(ctx context.Context) {
			if lookups {
				t.Lookups = b.lookups(ctx)
			}
		})
		return began, err
	})
	if err == nil {
		err = b.part(ctx, &t.After, waits(times.After))
	}
	t.Lost = b.target.load.lost.Load() - lost
	t.Log = b.target.process.errs.String()
	if !b.target.process.alive() {
		t.Died = fmt.Sprintf("%v: %s", b.target.process.err, t.Log)
		return t, nil
	}
	return t, err
}

// waits is a part in which nothing happens.
func waits(long time.Duration) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) { return time.Now(), pause(ctx, long) }
}

// attack runs the attackers' process and, from when the attack began, fn.
func (b *Bench) attack(ctx context.Context, name string, long time.Duration, fn func(context.Context)) (began time.Time, r hostile.Result, err error) {
	to := fmt.Sprintf("%s/p2p/%s", b.target.target.Addrs[0], b.target.target.ID)
	p, err := start(roleAttack, strings.Join([]string{
		"--json", "--target", to, "--attack", name, "--for", long.String(), "--protocol", string(b.Protocol()),
	}, "\n"))
	if err != nil {
		return began, r, err
	}
	defer p.stop()
	ctx, cancel := context.WithTimeout(ctx, long+90*time.Second)
	defer cancel()
	var e hostile.Event
	for e.Begins == "" {
		if err := p.next(ctx, &e); err != nil {
			return began, r, err
		}
		if e.Result != nil {
			return began, r, fmt.Errorf("measure: %s ended before it began: %s", name, p.errs)
		}
	}
	began = time.Now()
	driven, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); fn(driven) }()
	err = p.next(ctx, &e)
	stop()
	<-done
	if err != nil {
		return began, r, err
	}
	return began, *e.Result, nil
}

// lookups has the target look for random keys until ctx ends, and counts.
func (b *Bench) lookups(ctx context.Context) (n int) {
	for ctx.Err() == nil {
		var l looked
		if b.target.process.ask(context.WithoutCancel(ctx), "lookup 8", &l) != nil {
			return n
		}
		n += l.Lookups
		if pause(ctx, 200*time.Millisecond) != nil {
			break
		}
	}
	return n
}

// part runs fn, which tells when the part began, and fills in what was seen
// meanwhile.
func (b *Bench) part(ctx context.Context, p *Part, fn func(context.Context) (time.Time, error)) (err error) {
	started := time.Now()
	if p.Begin, err = b.target.state(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		b.watch(watching, p)
	}()
	began, err := fn(ctx)
	end := time.Now()
	stop()
	<-watched
	if err != nil {
		return err
	}
	p.Took = end.Sub(began)
	p.Target = side(b.target.load.between(began, end))
	p.Twin = side(b.twin.load.between(began, end))
	if p.Finish, err = b.target.state(ctx); err != nil {
		return err
	}
	p.see(p.Finish)
	p.RSS = p.Finish.RSS
	p.Cores = (p.Finish.CPU - p.Begin.CPU).Seconds() / time.Since(started).Seconds()
	twin, err := b.twin.state(ctx)
	p.TwinRSS = twin.RSS
	return err
}

// watch looks at the target four times a second.
func (b *Bench) watch(ctx context.Context, p *Part) {
	for pause(ctx, 250*time.Millisecond) == nil {
		s, err := b.target.state(context.WithoutCancel(ctx))
		if err != nil {
			return
		}
		p.see(s)
	}
}

func (p *Part) see(s State) {
	p.RSSMost = max(p.RSSMost, s.RSS)
	p.Goroutines = max(p.Goroutines, s.Goroutines)
	p.Conns = max(p.Conns, s.Conns)
	p.Streams = max(p.Streams, s.Streams)
	p.StreamsOfOne = max(p.StreamsOfOne, s.StreamsOfOne)
}

// side sums samples up. A request that failed counts among the latencies with the
// time it took.
func side(samples []Sample) (s Side) {
	var old, arrived []time.Duration
	for _, x := range samples {
		if x.Err != nil {
			s.Reason = x.Err.Error()
		}
		if x.Newcomer {
			arrived = append(arrived, x.Took)
			if x.Err != nil {
				s.Rejected++
			}
			continue
		}
		old = append(old, x.Took)
		if x.Err != nil {
			s.Failed++
		}
	}
	s.Requests, s.Newcomers = len(old), len(arrived)
	s.P50, s.P99 = quantile(old, 50), quantile(old, 99)
	s.NewcomerP99 = quantile(arrived, 99)
	return s
}

// quantile returns the smallest duration that percent of all do not exceed.
func quantile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, (len(all)*percent+99)/100-1)]
}
