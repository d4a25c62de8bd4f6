package mutation

// Bugs in believing what others say of peers.
var hearsayBugs = []Bug{
	{
		Name: "one-liar-vouches-thrice", File: "routing/kademlia/hearsay.go", In: core,
		Old: "c.namings < leastVouchers && c.namedIn != l.answers", New: "c.namings < leastVouchers",
		Why: "one answer that names a peer again and again has it believed in",
	},
	{
		Name: "hearsay-after-a-failure", File: "routing/kademlia/hearsay.go", In: core,
		Old: "{ l.trusting, l.believing = false, false }", New: "{}",
		Why: "peers are believed in where others are found dead",
	},
	{
		Name: "hearsay-never-weighed", File: "routing/kademlia/hearsay.go", In: core,
		Old: "h.kept+h.broken >= leastTried && int(h.broken)*mostBroken <= int(h.kept)", New: "true",
		Why: "peers are believed in by who has met many dead ones",
	},
	{
		Name: "hearsay-far-from-the-target", File: "routing/kademlia/hearsay.go", In: core,
		Old: "} else if n == 0 {", New: "} else if false {",
		Why: "whoever is near the target is not asked, who knows it best",
	},
	{
		Name: "nobody-looks-around", File: "routing/kademlia/around.go", In: core,
		Old: "q.rounds >= maxRounds", New: "q.rounds >= 0",
		Why: "where many have died, those who come after them are not found",
	},
	{
		Name: "slowest-first", File: "routing/kademlia/pace.go", In: core,
		Old: "p > 0 && (o == 0 || p < o)", New: "p > 0 && (o == 0 || p > o)",
		Why: "of members that know as much the slowest is asked",
	},
}
