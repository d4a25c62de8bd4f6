package control

import (
	"context"
	"time"
)

// Node is what a node does for the commands. Every method honours ctx, and every
// error it returns is an *Error. Methods may be called from many goroutines.
type Node interface {
	// Status says who the node is and how it is.
	Status(ctx context.Context) (*Status, error)
	// Table lists the routing table.
	Table(ctx context.Context) (*Table, error)
	// Put stores a value with the peers nearest to its key.
	Put(ctx context.Context, r PutRequest, w Watch) (*Stored, error)
	// Get finds the best value of a key.
	Get(ctx context.Context, r GetRequest, w Watch) (*Value, error)
	// Provide announces that this node has some content.
	Provide(ctx context.Context, r ProvideRequest, w Watch) (*Provided, error)
	// FindProviders finds who has some content; w is told each as it is found.
	FindProviders(ctx context.Context, r ProvidersRequest, w Watch) (*Providers, error)
	// FindPeer finds the addresses of a peer.
	FindPeer(ctx context.Context, r PeerRequest, w Watch) (*Found, error)
	// Closest finds the peers nearest to a key.
	Closest(ctx context.Context, r ClosestRequest, w Watch) (*Closest, error)
	// Ping asks one peer for a sign of life.
	Ping(ctx context.Context, r PingRequest, w Watch) (*Pong, error)
	Throttler
	Keeper
}

// Watch is told what happens while an operation runs; nil means nobody watches.
// It is called by one goroutine at a time, and not after the operation returned.
type Watch func(Event)

// Event is one thing that happened: exactly one field is set.
type Event struct {
	Hop      *Hop    `json:"hop,omitempty"`
	Provider *Peer   `json:"provider,omitempty"`
	Record   *Record `json:"record,omitempty"`
}

// Hop is one step of a lookup.
type Hop struct {
	// Step is "asking", "answered", "failed", "value" or "provider".
	Step string `json:"step"`
	Peer string `json:"peer"`
	// Hop is how many referrals away a peer that is asked is, from 1.
	Hop int `json:"hop,omitempty"`
	// Closer are the peers not heard of before that an answer named.
	Closer []string `json:"closer,omitempty"`
	Cause  string   `json:"cause,omitempty"`
	// Local says that the node itself is the peer, as the holder of a value.
	Local bool `json:"local,omitempty"`
	// Millis is the time since the operation began.
	Millis float64 `json:"ms"`
}

// Peer is a peer's id and its addresses, without /p2p.
type Peer struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
}

// Report is what an operation did.
type Report struct {
	Asked    int            `json:"asked"`
	Answered int            `json:"answered"`
	Failed   map[string]int `json:"failed"` // by cause; empty: none
	Holders  []string       `json:"holders"`
	Hops     int            `json:"hops"`
	Millis   float64        `json:"duration_ms"`
}

// Millis is d as the reports say it.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Status is who a node is and how it is.
type Status struct {
	Peer
	Mode        string   `json:"mode"`
	ModeReason  string   `json:"mode_reason"` // why it is so, and what is about to change
	Profile     string   `json:"profile"`     // private, public or lan: what addresses belong to the network
	Network     string   `json:"network"`     // private, amino, lan or dual
	Protocol    string   `json:"protocol"`
	Namespaces  []string `json:"namespaces"` // of keys that can be stored
	Peers       int      `json:"peers"`      // in the routing table
	Connections int      `json:"connections"`
	Joining     bool     `json:"joining"`          // whether it has peers to join through; the first node of a network has none
	Lonely      string   `json:"lonely,omitempty"` // why it knows no peers
	Holdings
	Lookups Lookups `json:"lookups"`
	Uptime  float64 `json:"uptime_s"`
	LAN     *LAN    `json:"lan,omitempty"` // beside a public network
}

// Holdings counts what a node holds for others, and what it announces of its own.
type Holdings struct {
	Values    int `json:"values"`
	Providers int `json:"providers"` // provider records
	Providing int `json:"providing"` // own keys, announced again every 22 h

	Announcing Announcing `json:"announcing"` // how far that is
}

// Announcing is how far a node is with announcing its own keys. Times are in seconds.
type Announcing struct {
	Period   float64 `json:"period_s"` // 0: nothing is announced by itself
	Due      int     `json:"due"`      // keys that are to be announced out of their turn
	Region   string  `json:"region"`   // where it is in the keyspace: the first bits, in hexadecimal
	Done     float64 `json:"done"`     // share of the cycle
	Behind   float64 `json:"behind_s"` // how much later than planned; below zero: earlier
	Visiting int     `json:"visiting"` // keys being announced now, to so many Peers
	Peers    int     `json:"peers"`
	Now      Cycle   `json:"now"`
	Before   *Cycle  `json:"before,omitempty"` // the cycle before
}

// Cycle is what was announced from one beginning of the schedule to the next.
type Cycle struct {
	Visits  int     `json:"visits"` // to parts of the keyspace
	Keys    int     `json:"keys"`
	Taken   int     `json:"taken"`  // by half of the nearest peers at least
	Failed  int     `json:"failed"` // not so, and tried again
	Asked   int     `json:"asked"`  // requests to find peers
	Sent    int     `json:"sent"`   // announcements
	Longest float64 `json:"longest_visit_s"`
}

// Lookups counts what a node's lookups had of others: answered from memory, by what was
// found or what was not; joined to one under way; begun where another had ended; begun
// anew. Invalidated counts what was remembered and no answer any more before its time.
type Lookups struct {
	Answered    uint64 `json:"answered"`
	Missing     uint64 `json:"missing"`
	Joined      uint64 `json:"joined"`
	Begun       uint64 `json:"begun"`
	Anew        uint64 `json:"anew"`
	Invalidated uint64 `json:"invalidated"`
	Keys        int    `json:"keys"` // remembered
	Bytes       int    `json:"bytes"`
}

// LAN is how a node is in the local network that it is in beside a public one.
type LAN struct {
	Mode      string `json:"mode"`
	Protocol  string `json:"protocol"`
	Peers     int    `json:"peers"`
	Lonely    string `json:"lonely,omitempty"`
	Values    int    `json:"values"`
	Providers int    `json:"providers"`
}

// Table is a routing table: buckets by the length of the prefix that a peer's key
// shares with the node's own.
type Table struct {
	ID      string   `json:"id"`
	Peers   int      `json:"peers"`
	Buckets []Bucket `json:"buckets"`
}

// Bucket is the peers that share Prefix leading bits with the node, those heard
// of longest ago first.
type Bucket struct {
	Prefix       int     `json:"prefix"`
	Peers        []Entry `json:"peers"`
	Replacements int     `json:"replacements"`
}

// Entry is one peer of a bucket.
type Entry struct {
	Peer
	LastSeen  time.Time `json:"last_seen"`
	Connected bool      `json:"connected"`
}

// PutRequest says what to store: Value under Key, or, if Mut is set, Value signed
// with the node's key under /mut/<its id>/<Mut>.
type PutRequest struct {
	Key   []byte `json:"key,omitempty"`
	Value []byte `json:"value"`
	Mut   string `json:"mut,omitempty"`
	// Republish has the node put the value again until it is dropped or not valid any
	// more.
	Republish bool `json:"republish,omitempty"`
	// ValidFor is how long a signed value holds.
	ValidFor time.Duration `json:"valid_for,omitempty"`
}

// Stored is the outcome of Put; the report's holders took the record.
type Stored struct {
	Key    []byte `json:"key"`
	Report Report `json:"report"`
}

// GetRequest says which value to find; the lookup ends early when Quorum peers
// gave one, 0 means never.
type GetRequest struct {
	Key    []byte `json:"key"`
	Quorum int    `json:"quorum,omitempty"`
}

// Value is the outcome of Get; the report's holders returned it.
type Value struct {
	Value  []byte `json:"value"`
	Report Report `json:"report"`
}

// ProvideRequest names the content to announce; Once has it not announced again.
type ProvideRequest struct {
	CID  string `json:"cid"`
	Once bool   `json:"once,omitempty"`
}

// Provided is the outcome of Provide; the report's holders took the record.
type Provided struct {
	Report Report `json:"report"`
}

// ProvidersRequest names the content to look for; the lookup ends when Count
// providers are found, 0 means never.
type ProvidersRequest struct {
	CID   string `json:"cid"`
	Count int    `json:"count,omitempty"`
}

// Providers is the outcome of FindProviders; the providers came as events.
type Providers struct {
	Count  int    `json:"count"`
	Report Report `json:"report"`
}

// PeerRequest names the peer to look for.
type PeerRequest struct {
	ID string `json:"id"`
}

// Found is the outcome of FindPeer.
type Found struct {
	Peer
	Report Report `json:"report"`
}

// ClosestRequest is the key to find the nearest peers of.
type ClosestRequest struct {
	Key []byte `json:"key"`
}

// Closest is the outcome of Closest, nearest first.
type Closest struct {
	Peers  []Peer `json:"peers"`
	Report Report `json:"report"`
}

// PingRequest names the peer to ask; its addresses are found if none are given.
type PingRequest struct {
	Peer
}

// Pong is the outcome of Ping.
type Pong struct {
	Millis float64 `json:"rtt_ms"`
}
