package kademlia

// progress is how far the lookup has come with one candidate.
type progress uint8

const (
	heard    progress = iota // known, not asked
	asking                   // asked, holds one of the α slots
	slow                     // asked, holds no slot any more, is still waited for
	answered                 // has answered, in time or late
	failed                   // has failed, or been given up
	barred                   // known, not to be dialed as things are
	believed                 // so many have named it that it is not waited for
)

// candidate is a peer on the way to the target.
type candidate struct {
	contact *Contact
	hop     uint16 // requests on the chain of referrals that led here, itself included
	state   progress
	lost    bool // could not be reached under the addresses known
	retried bool // has been given another chance, under others
	named   namers
	pace    pace    // of a member of ours
	namings uint8   // answers that have named it, up to leastVouchers
	namedIn uint16  // the last of them
	asked   instant // when it was asked
	payer   uint8   // whose account a dial to it is on; 0: nobody's
	tracks
	copying
}

// copying is what is known of a candidate for whom there is a record.
type copying struct {
	given   bool    // it has been given the record
	gave    instant // when, if that was before the walk's end
	nearby  uint8   // answers of peers next to the target that have named it, one counting for many where it is known how large the network is
	holds   bool    // it has taken the record
	refused bool    // it has not, and is of no use
}

// out reports whether the candidate is not counted on.
func (c *candidate) out() bool { return c.state == failed || c.state == barred }

// profits reports whether other addresses could help: whoever names a peer first
// must not decide alone where it is. One that was asked in vain gets one more
// chance.
func (c *candidate) profits(addrs [][]byte) bool {
	if c.state != heard && c.state != barred && (c.state != failed || !c.lost || c.retried) {
		return false
	}
	own := c.contact.Peer.Addrs
	if len(addrs) == 0 || len(own) == len(addrs) && &own[0] == &addrs[0] {
		return false
	}
	for _, a := range addrs {
		if !containsAddr(c.contact.Peer.Addrs, a) {
			return true
		}
	}
	return false
}
