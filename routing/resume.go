package routing

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/routing/snapshot"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Snapshots keeps the routing table's contacts between runs; snapshot.File does,
// in a file. Its methods may wait for a disk. They are called by one goroutine at
// a time.
type Snapshots interface {
	// Load returns what the last Save kept, nothing before the first. What is
	// returned with an error is ignored, and the error is told by Stats.
	Load() ([]snapshot.Peer, error)
	// Save keeps peers in place of those before, all or none.
	Save(peers []snapshot.Peer) error
}

const (
	// savePeriod is how often the table is saved. The first times come sooner, the
	// very first after saveFirst: a node may be killed young.
	savePeriod = 5 * time.Minute
	saveFirst  = 2 * time.Second
	// savePatience is how long Close waits for the last Save: a disk that hangs is
	// not waited for.
	savePatience = 500 * time.Millisecond
)

// SnapshotStats is what became of the routing table's snapshot.
type SnapshotStats struct {
	// Loaded is how many peers of the last run were there to be verified, Saved how
	// many are kept for the next one.
	Loaded, Saved int
	// Err is why the last Load or Save failed, nil if it did not.
	Err error
}

// resumption takes the table over from one run to the next.
type resumption struct {
	snapshots Snapshots     // nil: nobody keeps the table
	saving    chan struct{} // holds one while the table is being saved

	mu    sync.Mutex // guards what follows
	kept  []snapshot.Peer
	stats SnapshotStats
}

func (r *resumption) note(kept []snapshot.Peer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Err = err
	if err == nil {
		r.kept, r.stats.Saved = kept, len(kept)
	}
}

// state returns what is known of the snapshot.
func (r *resumption) state() SnapshotStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// resume has the contacts of the last run verified. It is called before the loop
// runs.
func (d *DHT) resume() {
	r := &d.resumption
	r.saving = make(chan struct{}, 1)
	if r.snapshots = d.cfg.Stores.Table; r.snapshots == nil {
		return
	}
	peers, err := r.load()
	if err != nil {
		peers = nil
	}
	r.note(peers, err)
	var seeds []*kademlia.Contact
	for i := range peers {
		if id, err := peer.IDFromBytes(peers[i].ID); err == nil && id != d.transport.ID() {
			seeds = append(seeds, kademlia.NewContact(id, peers[i].Addrs))
		}
	}
	r.stats.Loaded = len(seeds)
	d.loop.node.Seed(d.loop.now(), seeds)
}

func (r *resumption) load() (peers []snapshot.Peer, err error) {
	defer recovered("routing table's snapshot", &err)
	return r.snapshots.Load()
}

// keepTable saves the table again and again, until the DHT is closed. A Save that hangs
// is left behind then: farewell waits for the disk as long as anybody does.
func (d *DHT) keepTable() {
	for pause := saveFirst; ; pause = min(2*pause, savePeriod) {
		select {
		case <-time.After(pause):
		case <-d.closing:
			return
		}
		saved := make(chan struct{})
		go func() {
			defer close(saved)
			d.saveTable()
		}()
		select {
		case <-saved:
		case <-d.closing:
			return
		}
	}
}

// saveTable saves the table, unless it is empty: then the one before is worth more.
func (d *DHT) saveTable() {
	r := &d.resumption
	r.saving <- struct{}{}
	defer func() { <-r.saving }()
	now := time.Now()
	members, err := ask(d.loop, func(time.Time) []snapshot.Peer { return membersOf(d.loop.node) })
	if err != nil || len(members) == 0 {
		return
	}
	r.mu.Lock()
	before := r.kept
	r.mu.Unlock()
	all := snapshot.Merge(now, members, before)
	r.note(all, r.save(all))
}

func (r *resumption) save(peers []snapshot.Peer) (err error) {
	defer recovered("routing table's snapshot", &err)
	return r.snapshots.Save(peers)
}

// farewell saves the table as it is at the end, and hands over what we hold. It is
// called before the loop ends.
func (d *DHT) farewell() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if d.resumption.snapshots != nil {
			d.saveTable()
		}
	}()
	d.handOver()
	patience := time.NewTimer(savePatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
}

// membersOf returns the members of a node's table that can be dialled, best first.
// It runs on the loop.
func membersOf(n *kademlia.Node) []snapshot.Peer {
	seen := make(map[peer.ID]time.Time)
	for _, b := range n.Buckets() {
		for _, e := range b.Peers {
			seen[e.Contact.ID] = e.Seen
		}
	}
	contacts := slices.DeleteFunc(n.Snapshot(), func(c *kademlia.Contact) bool { return !c.HasAddrs() })
	members := make([]snapshot.Peer, len(contacts))
	for i, c := range contacts {
		members[i] = snapshot.Peer{ID: c.Peer.ID, Addrs: c.Peer.Addrs, Seen: seen[c.ID]}
	}
	return members
}

// resuming reports that peers of the last run are known and nobody is in the table
// yet; why says so.
func (r *resumption) resuming() bool { return r.state().Loaded > 0 }

func (r *resumption) why() error {
	return fmt.Errorf("%w: none of the %d peers of the last run has answered yet: give bootstrap peers, or begin anew without the snapshot",
		ErrNoPeers, r.state().Loaded)
}
