package control

import (
	"context"
	"time"
)

// Throttler is the part of Node that bounds what a node does for others.
type Throttler interface {
	// Throttle says what the bounds are and whom they hold back.
	Throttle(ctx context.Context, r ThrottleRequest) (*Throttle, error)
	// SetThrottle changes bounds until the node ends, and returns all of them.
	SetThrottle(ctx context.Context, r SetThrottleRequest) (*Throttle, error)
	// Release lets a peer or a subnet begin anew.
	Release(ctx context.Context, r ReleaseRequest) (*Released, error)
}

// ThrottleRequest says how many to list at most of those that are limited.
type ThrottleRequest struct {
	Count int `json:"count"`
}

// Throttle is how a node bounds what it does for others.
type Throttle struct {
	Limits  Limits    `json:"limits"`
	Workers int       `json:"workers"` // requests handled at a time
	Busy    int       `json:"busy"`    // being handled
	Waiting int       `json:"waiting"` // for a worker
	Limited []Limited `json:"limited"` // now or in the last ten minutes, worst first
	// Requests count requests by what became of them, Streams inbound streams; since
	// the node started.
	Requests map[string]uint64 `json:"requests"`
	Streams  map[string]uint64 `json:"streams"`
}

// Limits are the bounds; 0 means no limit. Rates are cost units a second: a
// FIND_NODE costs 1, a PUT_VALUE 5.
type Limits struct {
	PeerRate   float64 `json:"peer_rate"`
	PeerBurst  float64 `json:"peer_burst"`
	TotalRate  float64 `json:"total_rate"`
	TotalBurst float64 `json:"total_burst"`
	// Near and Far are how many times a peer's rate a /24 or /56, and a /16 or /48,
	// gets.
	Near float64 `json:"near"`
	Far  float64 `json:"far"`
	// Egress is bytes a second of answers to one peer.
	Egress float64 `json:"egress"`
	// Bursts is what all peers together may take of their bursts, units a second.
	Bursts float64 `json:"bursts"`
}

// Limited is a peer or a subnet that is held back, or everybody if both are empty.
type Limited struct {
	Peer   string `json:"peer,omitempty"`
	Subnet string `json:"subnet,omitempty"`
	// Reason says which budget is used up: "peer", "egress", "bursts", "subnet" or "total".
	Reason string `json:"reason"`
	// Level is what is left of it in units, or bytes of egress, below zero a debt that
	// is paid after Wait milliseconds.
	Level   float64   `json:"level"`
	Wait    float64   `json:"wait_ms"`
	Paused  uint64    `json:"paused"`
	Refused uint64    `json:"refused"`
	Since   time.Time `json:"since,omitzero"`
	Last    time.Time `json:"last,omitzero"`
}

// SetThrottleRequest says what to change: what is nil stays. 0 means no limit; of a
// burst, ten seconds' worth; of Workers, the default.
type SetThrottleRequest struct {
	PeerRate   *float64 `json:"peer_rate,omitempty"`
	PeerBurst  *float64 `json:"peer_burst,omitempty"`
	TotalRate  *float64 `json:"total_rate,omitempty"`
	TotalBurst *float64 `json:"total_burst,omitempty"`
	Near       *float64 `json:"near,omitempty"`
	Far        *float64 `json:"far,omitempty"`
	Egress     *float64 `json:"egress,omitempty"`
	Bursts     *float64 `json:"bursts,omitempty"`
	Workers    *int     `json:"workers,omitempty"`
}

// ReleaseRequest names a peer by its id or multiaddr, or a subnet.
type ReleaseRequest struct {
	Who string `json:"who"`
}

// Released says whether anything was held against who was released.
type Released struct {
	Who  string `json:"who"`
	Held bool   `json:"held"`
}

// Throttle implements Throttler.
func (c *Client) Throttle(ctx context.Context, r ThrottleRequest) (*Throttle, error) {
	return call[Throttle](ctx, c, "throttle", r, nil)
}

// SetThrottle implements Throttler.
func (c *Client) SetThrottle(ctx context.Context, r SetThrottleRequest) (*Throttle, error) {
	return call[Throttle](ctx, c, "set-throttle", r, nil)
}

// Release implements Throttler.
func (c *Client) Release(ctx context.Context, r ReleaseRequest) (*Released, error) {
	return call[Released](ctx, c, "release", r, nil)
}
