package mutation

var (
	space   = []string{"protocol/keyspace", "routing/kademlia"}
	core    = []string{"routing/kademlia", "routing/sim"}
	wire    = []string{"protocol", "protocol/rpc"}
	calls   = []string{"protocol/rpc"}
	storing = []string{"store"}
)

// Bugs in the metric.
var spaceBugs = []Bug{
	{
		Name: "bucket-off-by-one", File: "protocol/keyspace/key.go", In: space,
		Old: "return i*8 + bits.LeadingZeros64(x)", New: "return i*8 + bits.LeadingZeros64(x) + 1",
		Why: "every peer lands one bucket too deep",
	},
	{
		Name: "distance-bytes-reversed", File: "protocol/keyspace/key.go", In: space,
		Old: "x := binary.BigEndian.Uint64(a[i:])\n\t\ty := binary.BigEndian.Uint64(b[i:])",
		New: "x := binary.LittleEndian.Uint64(a[i:])\n\t\ty := binary.LittleEndian.Uint64(b[i:])",
		Why: "distances are compared from the wrong end of each word",
	},
	{
		Name: "distance-not-xored", File: "protocol/keyspace/key.go", In: space,
		Old: "if x^t < y^t {", New: "if t >= 0 && x < y {",
		Why: "nearness is the order of keys, whatever the target",
	},
	{
		Name: "distance-cut-short", File: "protocol/keyspace/key.go", In: space,
		Old: "for i := 0; i < len(d); i += 8", New: "for i := 0; i < len(d)/2; i += 8",
		Why: "only half of the bits count",
	},
}

// Bugs in who is a member, in which order, and who is told of whom.
var tableBugs = []Bug{
	{
		Name: "lru-reversed", File: "routing/kademlia/bucket.go", In: core,
		Old: "copy(b.members[i:], b.members[i+1:])\n\tlast := &b.members[len(b.members)-1]",
		New: "copy(b.members[1:i+1], b.members[:i])\n\tlast := &b.members[0]",
		Why: "the member seen last counts as the longest unseen",
	},
	{
		Name: "oldest-replacement-taken", File: "routing/kademlia/bucket.go", In: core,
		Old: "c := b.replacements[n-1].contact\n\tb.replacements[n-1] = waiter{}\n\tb.replacements = b.replacements[:n-1]",
		New: "c := b.replacements[0].contact\n\tb.replacements = b.replacements[1:]",
		Why: "a place goes to whoever has waited, and been silent, for longest",
	},
	{
		Name: "newest-replacement-forgotten", File: "routing/kademlia/bucket.go", In: core,
		Old: "b.replacements = slices.Delete(b.replacements, 0, 1+len(b.replacements)-limit)",
		New: "b.replacements = b.replacements[:limit-1]",
		Why: "a full list of replacements forgets whom it has seen last",
	},
	{
		Name: "bucket-overfull", File: "routing/kademlia/table.go", In: core,
		Old: "if len(b.members) >= room {", New: "if len(b.members) > room {",
		Why: "a bucket holds k+1",
	},
	{
		Name: "view-keeps-the-removed", File: "routing/kademlia/table.go", In: core,
		Old: "t.size--\n\tt.view.Store(t.View().without(p, key))", New: "t.size--",
		Why: "who has left the table is still asked, and told to others",
	},
	{
		Name: "view-misplaces-newcomers", File: "routing/kademlia/view.go", In: core,
		Old: "i, _ := old.find(&c.Key)", New: "i := len(old)",
		Why: "members are no longer in the order that the search for the nearest relies on",
	},
	{
		Name: "view-wrong-half-first", File: "routing/kademlia/view.go", In: core,
		Old: "if prefix&bit == 0 {", New: "if prefix&bit != 0 {",
		Why: "the farthest members are returned for the nearest",
	},
	{
		Name: "hearsay-taken-for-the-peers-word", File: "routing/kademlia/membership.go", In: core,
		Old: "n.prober.pause = time.Time{}\n", New: "n.prober.pause = time.Time{}\n\tn.table.update(c)\n",
		Why: "what a stranger says of a member's addresses replaces what it said itself",
	},
	{
		Name: "newcomers-unverified", File: "routing/kademlia/node.go", In: core,
		Old: "n.prober.candidate(now, c)\n\t\treturn\n\t}\n\tn.table.bucket(&c.Key)",
		New: "n.alive(now, c)\n\t\treturn\n\t}\n\tn.table.bucket(&c.Key)",
		Why: "whoever shows itself is a member, and told to others, without having answered",
	},
	{
		Name: "nobody-promoted", File: "routing/kademlia/membership.go", In: core,
		Old: "n.upkeep.replicator.changed(now)\n\t\tn.promote(now, c)", New: "n.upkeep.replicator.changed(now)",
		Why: "a place that has become free stays empty",
	},
	{
		Name: "requester-told-of-itself", File: "routing/kademlia/handlers.go", In: core,
		Old: "case c.Key == own:\n\t\t\tcontinue\n", New: "case own == target:\n\t\t\tcontinue\n",
		Why: "each answer wastes a place on the one who asks",
	},
}

// Bugs in the walk.
var lookupBugs = []Bug{
	{
		Name: "alpha-ignored", File: "routing/kademlia/lookup.go", In: core,
		Old: "|| l.slots >= l.budget() {", New: "{",
		Why: "a lookup asks all it knows at once",
	},
	{
		Name: "alpha-forgotten-after-the-first-answer", File: "routing/kademlia/lookup.go", In: core,
		Old: "default:\n\t\t\treturn l.alpha\n", New: "default:\n\t\t\treturn max(l.alpha, l.k)\n",
		Why: "all of the k nearest known are asked though nearer ones are still to be heard of",
	},
	{
		Name: "slow-peer-asked-again", File: "routing/kademlia/lookup.go", In: core,
		Old: "l.settle(i, slow)", New: "l.settle(i, heard)",
		Why: "who takes more than a second is asked twice",
	},
	{
		Name: "slot-not-freed", File: "routing/kademlia/lookup.go", In: core,
		Old: "if l.candidates[i].state == asking {\n\t\tl.slots--", New: "if l.candidates[i].state == asking && to != slow {\n\t\tl.slots--",
		Why: "silent peers keep their slots, and a few of them stop the walk",
	},
	{
		Name: "done-too-early", File: "routing/kademlia/lookup.go", In: core,
		Old: "if live++; live == l.k {\n\t\t\t\treturn true", New: "if live++; live == l.beta {\n\t\t\t\treturn true",
		Why: "the walk ends when the nearest β have answered",
	},
	{
		Name: "candidates-in-order-of-arrival", File: "routing/kademlia/lookup.go", In: core,
		Old: "l.candidates = slices.Insert(l.candidates, i, candidate{", New: "l.candidates = slices.Insert(l.candidates, len(l.candidates), candidate{",
		Why: "the walk goes to whomever it hears of, not nearer",
	},
	{
		Name: "failed-peer-takes-a-place", File: "routing/kademlia/candidate.go", In: core,
		Old: "func (c *candidate) out() bool { return c.state == failed || c.state == barred }",
		New: "func (c *candidate) out() bool { return c.state == barred }",
		Why: "the dead among the nearest are not replaced by the next nearest",
	},
	{
		Name: "redialled-for-ever", File: "routing/kademlia/candidate.go", In: core,
		Old: "|| !c.lost || c.retried)", New: "|| !c.lost)",
		Why: "whoever names ever new addresses of a dead peer keeps the walk busy",
	},
	{
		Name: "addresses-of-the-first-only", File: "routing/kademlia/lookup.go", In: core,
		Old: "merged(c.contact, told)", New: "c.contact",
		Why: "whoever names a peer first decides where it is",
	},
	{
		Name: "lookups-unbounded", File: "routing/kademlia/lookup.go", In: core,
		Old: "maxAsked = 256", New: "maxAsked = 4096",
		Why: "invented peers keep a lookup going",
	},
	{
		Name: "cache-never-expires", File: "routing/kademlia/cache.go", In: core,
		Old: "instantOf(now) < end.at.add(c.timing.Cache) {", New: "instantOf(now) < end.at.add(5000*c.timing.Cache) {",
		Why: "lookups begin at the end of one of last week",
	},
	{
		Name: "cache-remembers-the-unfinished", File: "routing/kademlia/query.go", In: core,
		Old: "if complete && !q.passing {", New: "if !q.passing {",
		Why: "the end of a search that stopped early passes for the nearest peers",
	},
}

// Bugs in what an operation makes of its walk.
var queryBugs = []Bug{
	{
		Name: "late-answer-dropped", File: "routing/kademlia/query.go", In: core,
		Old: "if late {\n\t\tq.report.Failed.Timeout--\n\t}", New: "if late {\n\t\treturn\n\t}",
		Why: "an answer after five seconds is lost",
	},
	{
		Name: "walks-never-widened", File: "routing/kademlia/query.go", In: core,
		Old: "q.widened = true\n\tbefore", New: "q.widened = true\n\tif q.report.Asked > 0 {\n\t\treturn false\n\t}\n\tbefore",
		Why: "a walk whose near peers have all died ends with fewer than it could have",
	},
	{
		Name: "own-key-followed", File: "routing/kademlia/query.go", In: core,
		Old: "key == q.node.self.Key || ", New: "",
		Why: "a lookup asks its own node",
	},
	{
		Name: "dead-holder-not-replaced", File: "routing/kademlia/fanout.go", In: core,
		Old: "q.lookup.Dropped(&to.Key)\n", New: "",
		Why: "peers that refuse a record cost replicas",
	},
	{
		Name: "half-of-the-copies-told-again", File: "routing/kademlia/early.go", In: core,
		Old: "\tq.enough = nil\n", New: "",
		Why: "who waits for half of the copies is told with each one more",
	},
	{
		Name: "quorum-off-by-one", File: "routing/kademlia/goal_value.go", In: core,
		Old: "g.seen >= g.options.Quorum", New: "g.seen > g.options.Quorum",
		Why: "a quorum of n waits for n+1, as a deployed implementation does",
	},
	{
		Name: "worse-value-preferred", File: "routing/kademlia/goal_value.go", In: core,
		Old: "return err == nil && i == 1", New: "return err == nil && i == 0",
		Why: "the older of two values wins",
	},
	{
		Name: "provider-count-off-by-one", File: "routing/kademlia/goal_providers.go", In: core,
		Old: "len(g.providers) >= g.count", New: "len(g.providers) > g.count",
		Why: "the search goes on when enough were found",
	},
	{
		Name: "tarpit-never-found-out", File: "routing/kademlia/membership.go", In: core,
		Old: "e.strike() >= maxStrikes", New: "e.strike() > maxStrikes",
		Why: "a member may leave every request unanswered if it answers probes",
	},
}
