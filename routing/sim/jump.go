package sim

import (
	"maps"
	"slices"
	"time"
)

// planJumps plans which clocks jump, and when.
func (k *keeping) planJumps() {
	for i := int32(Anchors); int(i) < k.run.cfg.Nodes; i++ {
		if k.rng.Float64() < k.cfg.Jumps.Share {
			k.run.queue.push(k.run.begin+int64(k.rng.Float64()*float64(k.cfg.For)), jump, i, 0)
		}
	}
}

// jump sets the clock of a member's stores forward or back. What it held must be
// given up now only if the jump makes it too old.
func (k *keeping) jump(who int32) {
	by := int64((0.5 + k.rng.Float64()/2) * float64(k.cfg.Jumps.By))
	if k.rng.Uint64()&1 == 0 {
		by = -by
	}
	r, s := k.run, k.stocks[who]
	r.fired[Jumped]++
	k.trouble = r.now
	k.clocks.Jumps++
	var before []int32
	if s != nil {
		for _, i := range slices.Sorted(maps.Keys(s.put)) {
			if k.holds(who, i) {
				before = append(before, i)
			}
		}
	}
	k.off[who] += by
	if s == nil {
		return
	}
	k.clocks.Held += len(before)
	for _, i := range before {
		if k.holds(who, i) {
			continue
		}
		k.clocks.Dropped++
		if age := time.Duration(r.now - s.put[i] + max(by, 0)); age < k.cfg.MaxAge-time.Hour {
			r.violated("member %d gave up record %d when its clock jumped by %v, which made it only %v old", who, i, time.Duration(by), age)
		}
	}
	s.wakeAt = r.now
	k.sweep(who)
}
