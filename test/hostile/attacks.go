package hostile

import (
	"context"
	"time"
)

// Attack is one way to hurt a node.
type Attack struct {
	// Name is what it is called by; Threat the row of the list of threats, T1 and
	// on, that it belongs to; About one line on what it does.
	Name, Threat, About string

	run func(ctx context.Context, s *Assault, long time.Duration) error
}

// Attacks are all there are.
var Attacks = []Attack{
	{"flood", "T6", "one peer, 8 streams, FIND_NODE without waiting for answers", flood(1, 8)},
	{"sybil-flood", "T6", "32 identities from as many /16s, 2 streams each, FIND_NODE without waiting", flood(32, 2)},
	{"stuffed-streams", "T13", "32 identities, 16 streams each, fill what may be sent ahead with FIND_NODE", flood(32, 16)},
	{"idle-streams", "T7", "64 peers open 100 streams each and say nothing", idleStreams(64, 100)},
	{"mute-streams", "T7", "64 peers open 100 streams each and do not say which protocol they want", muteStreams(64, 100)},
	{"slow-loris", "T7", "2,048 streams of 64 peers that stop in the middle of a frame", slowLoris(64, 32)},
	{"claimed-length", "T13", "75 streams of one peer and 8 of each of 16 others claim 4 MiB and trickle", claimedLength},
	{"big-ping", "T11", "8 streams of 4 peers send PINGs of 1 MiB as fast as the echoes come", bigPing(true)},
	{"slow-reader", "T11", "8 streams of 4 peers send PINGs of 1 MiB and never read", bigPing(false)},
	{"amplification", "T11", "100 providers of 24 addresses each; one peer asks for them without end", amplification},
	{"load-40", "T6", "40 peers, 450 FIND_NODE a second each, each within its limits", load(40)},
	{"load-80", "T6", "80 such peers", load(80)},
	{"load-160", "T6", "160 such peers", load(160)},
	{"overload-800", "T6", "48 peers, 8 streams each, 800 FIND_NODE a second in all, whatever is answered", overload(800)},
	{"overload-1600", "T6", "the same with 1,600 a second", overload(1600)},
	{"overload-3200", "T6", "the same with 3,200 a second", overload(3200)},
	{"overload-4800", "T6", "the same with 4,800 a second", overload(4800)},
	{"malformed", "T12", "every request cut at every byte, and every kind of bad length prefix", malformed},
	{"fuzz", "T12", "4 peers send random and mutated frames, 2 streams each", fuzz},
	{"provoke", "T12", "requests whose contents are meant to make the server panic", provoke},
	{"value-spam", "T9", "one peer stores new self-naming values of 200 B without end", valueSpam(200)},
	{"value-bulk", "T9", "one peer stores new self-naming values of 60 KiB without end", valueSpam(60 << 10)},
	{"provider-spam", "T10", "one peer announces itself for new keys without end", providerSpam},
	{"provider-crowd", "T10", "400 identities announce one key that an honest peer announced first", providerCrowd},
	{"spoof", "T10", "a peer announces others as providers", spoof},
	{"dangerous", "T5", "ten dangerous addresses announced, then asked for by somebody else", dangerous},
	{"lies", "T4", "4 servers that answer every question with 1,000 peers at listeners that count who dials", lies},
	{"poison-one", "T1", "200 servers of one /16 want into the table", poison(false)},
	{"poison-many", "T1", "200 servers of 40 /16s want into the table", poison(true)},
	{"connections", "T8", "fresh identities connect and stay, up to 400", connections(400, 16)},
	{"descriptors", "T8", "300 identities connect and stay, for a target with few file descriptors", connections(300, 16)},
	{"steady", "P23", "no attack: 10 peers with 50 requests a second each, 10 fresh identities a second that ask once", steadily},
	{"silent-sockets", "T8", "2,000 TCP connections that say nothing", silentSockets(2000)},
}
