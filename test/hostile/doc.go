// Package hostile attacks a kdht node on this machine, in every way that its
// promises name.
//
// An Attack is a bounded, repeatable assault: so many peers with seeded identities
// and source addresses of their own, for so long. The attackers are raw peers
// (package raw) that share no code with what they attack. Nothing but loopback is
// ever dialed; a target elsewhere is refused.
//
//	go run ./test/hostile/attack --list
//	go run ./test/hostile/attack --target /ip4/127.0.0.1/tcp/5348/p2p/12D3Koo… --attack flood --for 10s
//
// Package measure runs the attacks against a node in a process of its own while
// small honest clients ask it and, at the same moments, an unattacked twin; it
// prints what became of each promise:
//
//	go test ./test/hostile                                              (a short round: nothing that depends on speed)
//	KDHT_HOSTILE=1 go test ./test/hostile -run Round -v -timeout 30m    (the full round, about 8 minutes)
//	KDHT_SOAK=60m go test ./test/hostile -run Soak -v -timeout 90m      (steady load and churn)
package hostile
