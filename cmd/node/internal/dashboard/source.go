package dashboard

import (
	"context"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// Source is the node that is shown. Its methods may be called from many goroutines.
type Source interface {
	control.Node
	// Stats, Latencies, Buckets and Size are those of its DHT.
	Stats() routing.Stats
	Latencies() routing.Latencies
	Buckets() []kademlia.BucketInfo
	Size() (peers, samples int)
	SizeSamples() []kademlia.SizeSample
	// Terms are what of its configuration the page explains things by.
	Terms() Terms
	// Connected reports whether there is a connection to each of the peers.
	Connected() map[string]bool
	// PeerRows describes at most max of the peers that are connected or in the table,
	// those connected first, and says how many there are.
	PeerRows(max int) (rows []PeerRow, total int)
	// RecordRows describes values kept, at most max of the first scan ones.
	RecordRows(ctx context.Context, max, scan int) (RecordRows, error)
	// Files says where values are kept, empty if in memory, and how the files are.
	Files() (dir string, disk *control.Disk)
	// WatchLookups is routing.DHT's.
	WatchLookups(w func(routing.LookupStep)) (stop func(), err error)
}

// Terms are the periods and sizes by which a table is judged.
type Terms struct {
	K int `json:"k"`
	// Suspect is from how many milliseconds of silence on a member may be probed for
	// somebody else's sake, Probe from when on it is probed anyway, Refresh how often a
	// bucket is refreshed.
	Suspect int64 `json:"suspect_ms"`
	Probe   int64 `json:"probe_ms"`
	Refresh int64 `json:"refresh_ms"`
}

// PeerRow is one peer.
type PeerRow struct {
	ID        string   `json:"id"`
	Agent     string   `json:"agent,omitempty"`
	Addrs     []string `json:"addrs"`
	Connected bool     `json:"connected"`
	// Direction is "in", "out" or "both", Transport "tcp", "quic" and so on, of its
	// connections; Since is when the oldest was opened; Streams are those open.
	Direction string `json:"direction,omitempty"`
	Transport string `json:"transport,omitempty"`
	Since     int64  `json:"since,omitempty"`
	Streams   int    `json:"streams,omitempty"`
	// Bucket is its bucket, -1 if it is not in the table.
	Bucket int `json:"bucket"`
	// Took is about how long its answers take, in milliseconds; 0 if that is not known.
	Took float64 `json:"took_ms,omitempty"`
}

// RecordRows are values kept.
type RecordRows struct {
	// Scanned is how many were looked at; All says that there are no others.
	Scanned int         `json:"scanned"`
	All     bool        `json:"all"`
	Rows    []RecordRow `json:"rows"`
	// Namespaces counts those looked at.
	Namespaces []NamespaceRow `json:"namespaces"`
}

// NamespaceRow counts values whose keys begin with /<Name>/.
type NamespaceRow struct {
	Name    string `json:"name"`
	Values  int    `json:"values"`
	Bytes   int    `json:"bytes"`
	Served  int    `json:"served"`
	Oldest  int64  `json:"oldest"`
	Expires int64  `json:"expires"` // the next
}

// RecordRow is one value: when it was put, and until when it is kept, in milliseconds since
// 1970, the latter 0 if for ever; Served is how often others were answered with it.
type RecordRow struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Bytes     int    `json:"bytes"`
	Put       int64  `json:"put"`
	Expires   int64  `json:"expires"`
	Served    int    `json:"served"`
}

// millis is a time as the page has it: milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
