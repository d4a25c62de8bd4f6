package sim

import "time"

// FaultNames returns the names under which Report.Fired counts faults.
func FaultNames() []string { return append([]string(nil), faultNames[Fine+1:]...) }

// planRestart plans the restart of the far side of a cut that begins at.
func (r *run) planRestart(at int64) {
	if r.cfg.Faults.Restart == 0 {
		return
	}
	at += int64(r.cfg.Faults.Restart)
	apart := int64(float64(time.Second) / r.cfg.JoinRate)
	for i := int32(Anchors); int(i) < r.cfg.Nodes; i++ {
		if r.members[i].far {
			r.queue.push(at, restart, i, 0)
			at += apart
		}
	}
}

// restarts has a member that serves hang up and come back at once; way 1 is that of
// Comeback.
func (r *run) restarts(i, way int32) {
	if way == 1 {
		r.goesAndComes(i)
		return
	}
	m := &r.members[i]
	if !m.up || m.fate == Hung {
		return
	}
	r.fired[Restarted]++
	r.goesDown(i, Refuse)
	r.joins(i)
}
