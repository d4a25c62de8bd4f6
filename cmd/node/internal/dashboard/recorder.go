package dashboard

import (
	"math"
	"sync"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds on what is remembered of lookups.
const (
	maxLookups     = 40
	maxLookupPeers = 256
	maxLookupSteps = 600
)

// lookupView is a lookup, or what has become known of it since it was last told: the page
// joins those with the same ID. It is also the file that the page shares a lookup as.
type lookupView struct {
	ID     uint64 `json:"id"`
	Key    string `json:"key,omitempty"`
	Type   string `json:"type,omitempty"`
	Began  int64  `json:"began,omitempty"`
	Upkeep bool   `json:"upkeep,omitempty"`
	// Peers are the peers that it has heard of; everything else names them by their
	// place in this list.
	Peers []lookupPeer `json:"peers,omitempty"`
	Steps []lookupStep `json:"steps,omitempty"`
	// Cut says that there was more than is remembered.
	Cut bool       `json:"cut,omitempty"`
	End *lookupEnd `json:"end,omitempty"`
}

// lookupPeer is a peer and the logarithm, base 2, of its distance to the key: 256 and less.
type lookupPeer struct {
	ID       string  `json:"id"`
	Distance float64 `json:"d"`
}

// lookupStep is one step: T milliseconds after the lookup began.
type lookupStep struct {
	Kind   routing.StepKind `json:"k"`
	T      float64          `json:"t"`
	Peer   int              `json:"p"`
	Hop    int              `json:"h,omitempty"`
	Closer []int            `json:"c,omitempty"`
	Type   string           `json:"type,omitempty"` // of a request that gives a record
	Cause  string           `json:"e,omitempty"`
}

// lookupEnd is how a lookup has ended.
type lookupEnd struct {
	T        float64 `json:"t"`
	Error    string  `json:"error,omitempty"`
	Asked    int     `json:"asked"`
	Answered int     `json:"answered"`
	Failed   int     `json:"failed"`
	Hops     int     `json:"hops"`
	Closest  []int   `json:"closest"`
	Holders  []int   `json:"holders"`
	// Value is how many bytes were found, Providers how many peers.
	Value     int `json:"value,omitempty"`
	Providers int `json:"providers,omitempty"`
}

// recorder remembers the latest lookups and what of them has not been told yet. Its add is
// what a node is watched by.
type recorder struct {
	wake chan struct{} // 1 while there is something to tell

	mu    sync.Mutex
	order []*recorded // oldest first, maxLookups at most
	byID  map[kademlia.QueryID]*recorded
}

// recorded is one lookup.
type recorded struct {
	lookupView
	target keyspace.Key
	began  time.Time
	index  map[peer.ID]int
	// What has been told: nothing, the beginning, so many peers and steps, the end.
	told, toldEnd         bool
	toldPeers, toldStepsN int
}

func newRecorder() *recorder {
	return &recorder{wake: make(chan struct{}, 1), byID: make(map[kademlia.QueryID]*recorded)}
}

// add takes in one step, on the goroutine that owns the node.
func (r *recorder) add(s routing.LookupStep) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byID[s.Lookup]
	switch {
	case s.Kind == routing.StepBegan:
		r.begin(s)
	case l == nil || l.End != nil: // it began before anybody watched, or has been forgotten
		return
	case s.Kind == routing.StepEnded:
		l.end(s)
	default:
		l.step(s)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *recorder) begin(s routing.LookupStep) {
	if len(r.order) == maxLookups {
		r.drop()
	}
	l := &recorded{
		lookupView: lookupView{
			ID: uint64(s.Lookup), Key: keyText(s.Key), Type: s.Type.String(), Began: millis(s.At), Upkeep: s.Upkeep,
			Peers: []lookupPeer{}, Steps: []lookupStep{},
		},
		target: keyspace.KeyOf(s.Key), began: s.At, index: make(map[peer.ID]int),
	}
	r.order = append(r.order, l)
	r.byID[s.Lookup] = l
}

// drop forgets the oldest lookup of the table's own, or if callers wait for all, the oldest.
func (r *recorder) drop() {
	at := 0
	for i, l := range r.order {
		if l.Upkeep {
			at = i
			break
		}
	}
	delete(r.byID, kademlia.QueryID(r.order[at].ID))
	r.order = append(r.order[:at], r.order[at+1:]...)
}

// keyText is a key as people read it: a peer's id, or what `kdht` takes.
func keyText(key []byte) string {
	if id, err := peer.IDFromBytes(key); err == nil {
		return id.String()
	}
	return cut(input.ShowKey(key))
}

func (l *recorded) step(s routing.LookupStep) {
	if len(l.Steps) >= maxLookupSteps {
		l.Cut = true
		return
	}
	step := lookupStep{Kind: s.Kind, T: control.Millis(s.At.Sub(l.began)), Peer: -1, Hop: s.Hop}
	if s.Peer != nil {
		if step.Peer = l.place(s.Peer); step.Peer < 0 {
			return
		}
	}
	for _, c := range s.Closer {
		if i := l.place(c); i >= 0 {
			step.Closer = append(step.Closer, i)
		}
	}
	if s.Storing {
		step.Type = s.Type.String()
		l.Type = step.Type
	}
	if s.Err != nil {
		step.Cause = cut(control.Line(s.Err))
	}
	l.Steps = append(l.Steps, step)
}

// place returns the place of a peer in the list, -1 if that is full.
func (l *recorded) place(c *kademlia.Contact) int {
	i, known := l.index[c.ID]
	switch {
	case known:
		return i
	case len(l.Peers) >= maxLookupPeers:
		l.Cut = true
		return -1
	}
	i = len(l.Peers)
	l.index[c.ID] = i
	l.Peers = append(l.Peers, lookupPeer{c.ID.String(), log2Distance(&l.target, &c.Key)})
	return i
}

func (l *recorded) places(contacts []*kademlia.Contact) []int {
	all := make([]int, 0, len(contacts))
	for _, c := range contacts {
		if i := l.place(c); i >= 0 {
			all = append(all, i)
		}
	}
	return all
}

func (l *recorded) end(s routing.LookupStep) {
	res := s.Result
	l.End = &lookupEnd{
		T: control.Millis(s.At.Sub(l.began)), Asked: res.Report.Asked, Answered: res.Report.Answered, Failed: res.Report.Failed.Total(),
		Hops: res.Report.Hops, Closest: l.places(res.Closest), Holders: []int{}, Value: len(res.Value), Providers: len(res.Providers),
	}
	for _, id := range res.Report.Holders {
		if i, known := l.index[id]; known {
			l.End.Holders = append(l.End.Holders, i)
		}
	}
	if res.Err != nil {
		l.End.Error = cut(control.Line(res.Err))
	}
	l.index = nil
}

// news returns what has not been told yet, a part for each lookup, and counts it as told.
func (r *recorder) news() []lookupView {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []lookupView
	for _, l := range r.order {
		if l.told && l.toldPeers == len(l.Peers) && l.toldStepsN == len(l.Steps) && l.toldEnd == (l.End != nil) {
			continue
		}
		part := l.lookupView
		part.Peers, part.Steps = l.Peers[l.toldPeers:len(l.Peers):len(l.Peers)], l.Steps[l.toldStepsN:len(l.Steps):len(l.Steps)]
		l.told, l.toldEnd, l.toldPeers, l.toldStepsN = true, l.End != nil, len(l.Peers), len(l.Steps)
		all = append(all, part)
	}
	return all
}

// told returns all that has been told of the lookups that are remembered, for somebody who
// was not there: news go on from there.
func (r *recorder) told() []lookupView {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []lookupView
	for _, l := range r.order {
		if !l.told {
			continue
		}
		whole := l.lookupView
		whole.Peers, whole.Steps = l.Peers[:l.toldPeers:l.toldPeers], l.Steps[:l.toldStepsN:l.toldStepsN]
		if !l.toldEnd {
			whole.End = nil
		}
		all = append(all, whole)
	}
	return all
}

// stopped notes that nobody is told any more how the lookups under way end.
func (r *recorder) stopped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.order[:0]
	for _, l := range r.order {
		if l.End != nil {
			kept = append(kept, l)
		} else {
			delete(r.byID, kademlia.QueryID(l.ID))
		}
	}
	clear(r.order[len(kept):])
	r.order = kept
}

// log2Distance returns the logarithm of the distance of two keys, 0 if there is none.
func log2Distance(a, b *keyspace.Key) float64 {
	d := keyspace.DistanceOf(a, b)
	for i := range d {
		if d[i] == 0 {
			continue
		}
		head := uint64(0) // the seven bytes after the first zeros
		for j := range 7 {
			head <<= 8
			if i+j < len(d) {
				head |= uint64(d[i+j])
			}
		}
		exact := float64(8*(len(d)-i-7)) + math.Log2(float64(head))
		return math.Round(max(0, exact)*100) / 100
	}
	return 0
}
