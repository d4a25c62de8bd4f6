// Package sim runs many production kademlia.Nodes in one process, over a network
// of its own with virtual time, and says how well they did.
//
// Nothing of the DHT is modelled: tables, lookups, probes, refreshes and the
// answers to requests are the code that runs live. What is modelled is what lies
// around it: distances between regions, lost packets, the cost of opening a
// connection, peers that refuse, vanish, hang or lie in wait, partitions, and
// people who come and go (docs/SIMULATION.md).
//
//	report, err := sim.Run(ctx, sim.Config{Seed: 1, Nodes: 1000, Lookups: 500}, nil)
//	report.WriteText(os.Stdout)
//
// One goroutine takes events off a queue, in order of their time and then of
// their making, and hands each to the one node it concerns. All randomness comes
// from the seed. So the same Config gives the same run, event for event, which
// Report.Trace proves; and a run that broke an invariant is replayed by its seed.
package sim
