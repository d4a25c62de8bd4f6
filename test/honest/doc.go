// Package honest asks whether peers who want a lot, and are nobody's enemy, get it
// from nodes with their default limits: who announces a hundred thousand keys, and
// who walks every table of a network.
//
//	n, err := honest.Start(ctx, 20)
//	defer n.Close()
//	a, err := n.Announce(ctx, 100_000)      // a provider joins and announces
//	c, err := n.Crawl(ctx, []int{16, 400})  // a crawler walks, in bursts of so many requests
//
// The nodes are made as `kdht run` makes them, in one process, on loopback; the
// crawler is a raw peer that shares no code with them. A key that nobody seems to
// have taken is announced again at the end, as the DHT itself would five minutes
// later; nothing else is retried here.
//
//	go test ./test/honest                                                   (a short form, with the same checks)
//	KDHT_HONEST=100000 go test ./test/honest -run Announce -v -timeout 60m  (so many keys)
//
// The invariant: Close leaves nothing running.
package honest
