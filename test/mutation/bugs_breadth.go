package mutation

// Bugs in what lookups rest on besides k, α and β: wide far buckets, fast members of these,
// disjoint paths, subnets in answers.
var breadthBugs = []Bug{
	{
		Name: "slower-of-two-preferred", File: "routing/kademlia/proximity.go", In: core,
		Old: "other.pace.before(last.pace)", New: "last.pace.before(other.pace)",
		Why: "places in far buckets go to those who take longest to answer",
	},
	{
		Name: "crowded-subnet-silenced", File: "routing/kademlia/diversity.go", In: core,
		Old: "if n >= maxInAnswer {\n\t\t\treturn true", New: "if n >= maxInAnswer-2 {\n\t\t\treturn true",
		Why: "of a subnet that one liar names, nobody else is believed to be there",
	},
	{
		Name: "far-buckets-all-wide", File: "routing/kademlia/far.go", In: core,
		Old: "max(t.k, t.far>>min(p, 62))", New: "max(t.k, t.far)",
		Why: "every bucket is as wide as the farthest, and the table has no bound to speak of",
	},
	{
		Name: "far-buckets-filled-at-once", File: "routing/kademlia/far.go", In: core,
		Old: "t.k*max(1, round)", New: "t.far+t.k*max(1, round)",
		Why: "who joins with wide buckets asks hundreds for them in its first round",
	},
	{
		Name: "paths-share-what-they-hear", File: "routing/kademlia/paths.go", In: core,
		Old: "c.of |= p.now", New: "c.of = 1<<p.count - 1",
		Why: "whom a liar names is asked by every path",
	},
	{
		Name: "path-takes-all-requests", File: "routing/kademlia/paths.go", In: core,
		Old: "return maxAsked / p.count", New: "return maxAsked - 1",
		Why: "one path that is led on takes the requests of the others",
	},
	{
		Name: "path-crowds-out-the-others", File: "routing/kademlia/paths.go", In: core,
		Old: "return own < maxCandidates/l.paths.count ||", New: "return true ||",
		Why: "what one path invents displaces the candidates of the others",
	},
}
