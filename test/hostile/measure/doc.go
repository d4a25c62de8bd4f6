// Package measure finds out what an attack does to a node.
//
// A Bench is two nodes, each in a process of its own, made as cmd/node makes them:
// the target and its twin. Small honest clients ask both, at the same moments, all
// the time. A Trial runs one attack of package hostile, in a third process, and
// keeps what happened before, during and after it: latencies and failures of the
// honest, the memory, goroutines and CPU time of the target. Promises judges trials
// by the figures that kdht has promised.
//
//	func TestMain(m *testing.M) { measure.Child(); os.Exit(m.Run()) }
//
//	b, err := measure.NewBench(ctx, measure.Settings{})
//	trial, err := b.Try(ctx, "flood", measure.Times{Quiet: 3 * time.Second, Attack: 10 * time.Second, After: 6 * time.Second})
//	for _, row := range measure.Judge(trial) { … }
//
// The processes are this same program, started again with an environment variable;
// so Child must be called before anything else. The invariant: Close leaves no
// process behind.
package measure
