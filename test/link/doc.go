// Package link puts the conditions of a real network between the hosts of one
// process: delay, loss, peers that vanish without a farewell, peers that accept
// everything and answer nothing.
//
//	net := link.New(link.Conditions{Delay: link.Regions(1)})
//	defer net.Close()
//	h, err := net.Host(net.Place(7), build.Config{})
//	dht, err := routing.New(net.Hanging(h, net.Place(7)), routing.Config{})
//	net.Silence(net.Place(7), true)         // from now on no packet reaches it or leaves it
//
// Every host has a place, an address of 127.0.0.0/8 of its own. What it sends by TCP or
// QUIC reaches another place as long after as Conditions.Delay says, in order, without
// any limit of bandwidth. The hosts are go-libp2p's, with their own security, muxers
// and QUIC; only the sockets are ours. New carries the bytes over real sockets of
// the loopback interface; NewVirtual carries them in memory, so that all of it runs
// in a testing/synctest bubble, where a second of waiting costs nothing and what is
// computed takes no time.
//
// The invariant: what a connection carries arrives complete and in order, or does not
// arrive; nothing arrives sooner than its delay after it was sent; a place that is
// silent neither sends nor receives anything, not even the end of a connection.
package link
