package mutation

// Bugs in timers, probes, refresh and reprovide: what happens while nobody asks.
var upkeepBugs = []Bug{
	{
		Name: "latest-timer-first", File: "routing/kademlia/deadlines.go", In: core,
		Old: "return d.at < o.at ||", New: "return d.at > o.at ||",
		Why: "the node sleeps until the last of its deadlines",
	},
	{
		Name: "timer-misplaced", File: "routing/kademlia/repeater.go", In: core,
		Old: "d[i].slot, d[j].slot = i, j", New: "d[i].slot = i",
		Why: "taking one timer out of the heap takes another's",
	},
	{
		Name: "crowd-not-noticed", File: "routing/kademlia/netsize.go", In: core,
		Old: "const sparsest = 0.3", New: "const sparsest = 0.0001",
		Why: "twenty identities made to sit next to a key have its records for themselves",
	},
	{
		Name: "chance-taken-for-a-crowd", File: "routing/kademlia/netsize.go", In: core,
		Old: "const sparsest = 0.3", New: "const sparsest = 3",
		Why: "every operation goes through the whole region of its key",
	},
	{
		Name: "region-walked-and-not-used", File: "routing/kademlia/query.go", In: core,
		Old: "q.spread.extra, q.region.found = q.region.found, nil", New: "q.region.found = nil",
		Why: "those of the region are found and given nothing",
	},
	{
		Name: "region-not-asked", File: "routing/kademlia/region.go", In: core,
		Old: "for len(g.found) > 0 && l.slots < l.final && l.asked < maxAsked {", New: "for len(g.found) > 1<<20 {",
		Why: "a record that honest peers of the region hold is not read from them",
	},
	{
		Name: "liars-told-first", File: "routing/kademlia/goal_providers.go", In: core,
		Old: "return keyspace.CompareDistance(target, &b.from.Key, &a.from.Key)", New: "return keyspace.CompareDistance(target, &a.from.Key, &b.from.Key)",
		Why: "false providers fill the count before a true one is told",
	},
	{
		Name: "one-key-counted-again", File: "routing/kademlia/netsize.go", In: core,
		Old: "return o.target == key || o.old(now)", New: "return o.old(now)",
		Why: "whoever has us look for one key again and again decides how large we think the network is",
	},
	{
		Name: "request-without-deadline", File: "routing/kademlia/requests.go", In: core,
		Old: "rs.deadlines.push(deadline{r.deadline, r.id})", New: "r.deadline++",
		Why: "a peer that says nothing is waited for without end",
	},
	{
		Name: "given-up-at-once", File: "routing/kademlia/requests.go", In: core,
		Old: "rs.wait(r, tardy, r.giveUp)", New: "rs.wait(r, tardy, at)",
		Why: "who does not answer while it has a slot has failed",
	},
	{
		Name: "sleeps-through-probes", File: "routing/kademlia/node.go", In: core,
		Old: "n.prober.nextDeadline()", New: "time.Time{}",
		Why: "probes wait for other traffic: how two deployed implementations hang",
	},
	{
		Name: "evicted-at-the-first-failure", File: "routing/kademlia/probe.go", In: core,
		Old: "case !e.doubted && !now.Before(p.pause):\n\t\te.doubted = true\n\t\tp.member(now, e)\n\t\tp.control(now, e)",
		New: "case !e.doubted:\n\t\tn.evict(now, e.contact, errProbeFailed)",
		Why: "one lost probe costs a place in the table",
	},
	{
		Name: "outage-empties-the-table", File: "routing/kademlia/requests.go", In: core,
		Old: "return rs.answered >= r.sent", New: "return rs != nil",
		Why: "when our own network fails, everybody else is thrown out",
	},
	{
		Name: "probe-slots-leak", File: "routing/kademlia/probe.go", In: core,
		Old: "p.prober.inFlight--", New: "if p.member {\n\t\tp.prober.inFlight--\n\t}",
		Why: "after a few newcomers nobody is probed any more",
	},
	{
		Name: "candidate-known-for-ever", File: "routing/kademlia/probe.go", In: core,
		Old: "p.prober.asked = slices.Delete(p.prober.asked, i, i+1)", New: "_ = i",
		Why: "a peer that once failed to answer never gets in",
	},
	{
		Name: "newest-member-contested", File: "routing/kademlia/probe.go", In: core,
		Old: "oldest, at := &b.members[0]", New: "oldest, at := &b.members[len(b.members)-1]",
		Why: "a newcomer has the wrong member probed, and the dead keep their places",
	},
	{
		Name: "refresh-runs-once", File: "routing/kademlia/refresh.go", In: core,
		Old: "r.schedule(now)\n\twaiters", New: "waiters",
		Why: "the table is refreshed once and never again",
	},
	{
		Name: "refresh-repeats-what-lookups-did", File: "routing/kademlia/refresh.go", In: core,
		Old: " && b.refreshed <= due", New: " && due > 0",
		Why: "every round asks every bucket, however busy the node",
	},
	{
		Name: "no-early-rounds", File: "routing/kademlia/refresh.go", In: core,
		Old: "if r.rounds < len(early) &&", New: "if r.rounds < 0 &&",
		Why: "peers that join together miss each other for ten minutes",
	},
	{
		Name: "heard-of-and-left-unasked", File: "routing/kademlia/query.go", In: core,
		Old: "case q.filling() && q.fill(now):", New: "case q.filling() && now.IsZero() && q.fill(now):",
		Why: "who joins looks for what it has been told",
	},
	{
		Name: "refresh-dials-what-it-is-told", File: "routing/kademlia/lookup.go", In: core,
		Old: "if l.dials.open(c) {\n\t\t\treturn l.ask(i)\n\t\t}\n\t\tc.state = barred", New: "return l.ask(i)",
		Why: "whoever is asked at a refresh has us dial wherever it likes",
	},
	{
		Name: "reprovide-lost-after-failure", File: "routing/kademlia/repeater.go", In: core,
		Old: "if res.Err != nil {\n", New: "if res.Err != nil {\n\t\treturn\n",
		Why: "a key whose announcement failed once is announced no more",
	},
	{
		Name: "no-retry-of-announcements", File: "routing/kademlia/repeater.go", In: core,
		Old: "if res.Err != nil {\n", New: "if res.Err == nil && now.IsZero() {\n",
		Why: "a key whose announcement failed is not found for 22 hours",
	},
	{
		Name: "stopped-key-announced", File: "routing/kademlia/repeater.go", In: core,
		Old: "if r.byKey[p.key] != p {\n\t\treturn", New: "if r.byKey[p.key] != p && now.IsZero() {\n\t\treturn",
		Why: "a key taken back while it is announced comes back",
	},
	{
		Name: "announcements-leak", File: "routing/kademlia/repeater.go", In: core,
		Old: "r.inFlight--\n", New: "if res.Err == nil {\n\t\tr.inFlight--\n\t}\n",
		Why: "after four failures nothing is announced any more",
	},
	{
		Name: "everybody-copies", File: "routing/kademlia/replicate.go", In: core,
		Old: "return nil // who is nearer does it", New: "// nothing",
		Why: "a newcomer is given each value by all who hold it",
	},
	{
		Name: "copies-live-anew", File: "routing/kademlia/replicate.go", In: core,
		Old: "putValue(h.Record.WithTTL(h.Left))", New: "putValue(h.Record)",
		Why: "peers keep a value alive among themselves for ever",
	},
	{
		Name: "copies-in-a-storm", File: "routing/kademlia/replicate.go", In: core,
		Old: "s.pause = now.Add(time.Duration(len(targets)) * replicatePace)", New: "s.pause = now",
		Why: "all that is held goes to a newcomer at once",
	},
}
