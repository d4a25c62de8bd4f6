package mutation

// Bugs in what lookups have of each other: what is remembered, and who waits for whom.
var sharedBugs = []Bug{
	{
		Name: "cache-answers-with-the-dead", File: "routing/kademlia/cache.go", In: core,
		Old: "end == nil || end.changed ||", New: "end == nil ||",
		Why: "peers that have left, or are not the nearest any more, are returned for ten seconds",
	},
	{
		Name: "missing-for-as-long-as-found", File: "routing/kademlia/cache.go", In: core,
		Old: "instantOf(begun).add(c.timing.Missing)", New: "instantOf(begun).add(c.timing.Cache)",
		Why: "a record that was not there yet is hidden for minutes",
	},
	{
		Name: "missing-though-just-stored", File: "routing/kademlia/shared.go", In: core,
		Old: "\tnote(now)\n\treturn func", New: "\treturn func",
		Why: "what we are storing is not found by ourselves",
	},
	{
		Name: "leaving-ends-it-for-all", File: "routing/kademlia/shared.go", In: core,
		Old: "if len(s.callers) == 1 {\n\t\ts.query.finish", New: "if len(s.callers) >= 1 {\n\t\ts.query.finish",
		Why: "one caller that does not wait ends the lookup of all who have joined it",
	},
	{
		Name: "joined-whatever-is-wanted", File: "routing/kademlia/shared.go", In: core,
		Old: "!bytes.Equal(s.local, wish.local)", New: "len(wish.local) > 1<<20",
		Why: "who has a value is told of a lookup that does not know it",
	},
}
