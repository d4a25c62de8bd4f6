package kademlia

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// ErrBadRequest means that a request breaks a rule of wire.md §6; its stream is
// reset.
var ErrBadRequest = errors.New("bad request")

// ValueStore is what the handlers need of a store of values.
type ValueStore interface {
	// Put stores rec if it is valid and not worse than what is stored.
	Put(now time.Time, rec protocol.Record) error
	// Get returns what is stored under key and not expired.
	Get(now time.Time, key []byte) (protocol.Record, bool, error)
}

// sharing is a ValueStore that holds each sender to a share of it.
type sharing interface {
	PutFrom(now time.Time, from []byte, rec protocol.Record) error
}

// ProviderStore is what the handlers need of a store of provider records.
type ProviderStore interface {
	// Add stores that provider provides key; it copies both.
	Add(now time.Time, key []byte, provider protocol.Peer) error
	// Append appends a random sample of at most max providers of key to dst.
	Append(now time.Time, key []byte, dst []protocol.Peer, max int) ([]protocol.Peer, error)
}

// Book knows peers that are not in the table; live it is the peerstore.
type Book interface {
	// Contact returns the peer's contact, our own for our own id, or nil if no
	// address of it is known.
	Contact(id peer.ID) *Contact
	// Connected reports whether we hold a connection to the peer.
	Connected(id peer.ID) bool
}

// Handlers answers the six requests exactly as wire.md §6 has it. Its methods
// have the signature of rpc.Handler and run on the goroutines of their streams:
// they read the table through a View and may wait for the stores, never for the
// Node.
//
// resp arrives empty but for its type and cluster level.
type Handlers struct {
	Self peer.ID
	K    int
	View func() *View
	// Values and Providers are the stores; nil switches the subsystem off, and
	// its two requests are then refused by whoever dispatches.
	Values    ValueStore
	Providers ProviderStore
	Book      Book
	// Addrs cuts the addresses a provider announces to those inside our network
	// (nil: all). What else answers tell, the table's contacts and the book's, has
	// been cut before (wire.md §22.4).
	Addrs func(addrs [][]byte) [][]byte
	// Told is told the key of every answer with records in it (nil: nobody is).
	Told func(key []byte)
}

// maxReplicas bounds K, so that an answer's peers fit on the stack.
const maxReplicas = 64

// Ping echoes the request without its peers.
func (h *Handlers) Ping(_ time.Time, _ protocol.Remote, req, resp *protocol.Message) error {
	resp.Echo(req)
	return nil
}

// FindNode answers with the k nearest peers, the target itself first if we know
// where it is. Peers without a known address are left out.
func (h *Handlers) FindNode(_ time.Time, from protocol.Remote, req, resp *protocol.Message) error {
	if len(req.Key) == 0 {
		return fmt.Errorf("%w: FIND_NODE without a key", ErrBadRequest)
	}
	h.closest(from.Peer, req.Key, resp, false)
	if len(resp.CloserPeers) == 0 || !bytes.Equal(resp.CloserPeers[0].ID, req.Key) {
		h.prependTarget(req.Key, resp)
	}
	return nil
}

// prependTarget puts the peer that key names in front, if the book knows it.
func (h *Handlers) prependTarget(key []byte, resp *protocol.Message) {
	id, err := peer.IDFromBytes(key)
	if err != nil {
		return
	}
	c := h.Book.Contact(id)
	if c == nil {
		return
	}
	resp.CloserPeers = append(resp.CloserPeers, protocol.Peer{})
	copy(resp.CloserPeers[1:], resp.CloserPeers)
	resp.CloserPeers[0] = c.Peer
	if h.connected(id) {
		resp.CloserPeers[0].Connection = protocol.Connected
	}
}

// GetValue answers with the stored record, if any, and the k nearest peers.
func (h *Handlers) GetValue(now time.Time, from protocol.Remote, req, resp *protocol.Message) error {
	if len(req.Key) == 0 {
		return fmt.Errorf("%w: GET_VALUE without a key", ErrBadRequest)
	}
	rec, found, err := h.Values.Get(now, req.Key)
	if err != nil {
		return err
	}
	resp.Key, resp.Record, resp.HasRecord = req.Key, rec, found
	h.told(req.Key, found)
	h.closest(from.Peer, req.Key, resp, true)
	return nil
}

// PutValue stores the record and echoes the request without its peers.
func (h *Handlers) PutValue(now time.Time, from protocol.Remote, req, resp *protocol.Message) (err error) {
	if len(req.Key) == 0 || !req.HasRecord || !bytes.Equal(req.Key, req.Record.Key) {
		return fmt.Errorf("%w: PUT_VALUE needs a record under the request's own key", ErrBadRequest)
	}
	if s, ok := h.Values.(sharing); ok {
		err = s.PutFrom(now, []byte(from.Peer), req.Record)
	} else {
		err = h.Values.Put(now, req.Record)
	}
	if err != nil {
		return err
	}
	resp.Echo(req)
	return nil
}

// GetProviders answers with a random sample of the providers known and the k
// nearest peers.
func (h *Handlers) GetProviders(now time.Time, from protocol.Remote, req, resp *protocol.Message) error {
	if err := checkProviderKey(req.Key); err != nil {
		return err
	}
	var err error
	resp.Key = req.Key
	resp.ProviderPeers, err = h.Providers.Append(now, req.Key, resp.ProviderPeers, protocol.MaxAnswerProviders)
	if err != nil {
		return err
	}
	h.told(req.Key, len(resp.ProviderPeers) > 0)
	for i := range resp.ProviderPeers {
		h.complete(&resp.ProviderPeers[i])
	}
	h.closest(from.Peer, req.Key, resp, true)
	return nil
}

// AddProvider stores the sender as a provider of the key, under the addresses
// it announces, be it in several entries; it is never answered. Entries for
// other peers are skipped.
func (h *Handlers) AddProvider(now time.Time, from protocol.Remote, req, _ *protocol.Message) error {
	if err := checkProviderKey(req.Key); err != nil {
		return err
	}
	var addrs [][]byte
	announced := false
	for i := range req.ProviderPeers {
		if p := &req.ProviderPeers[i]; string(p.ID) == string(from.Peer) && anyParses(p) {
			addrs, announced = append(addrs, p.Addrs...), true
		}
	}
	if !announced {
		return fmt.Errorf("%w: ADD_PROVIDER must announce its sender, with at least one address", ErrBadRequest)
	}
	c := contactOf(from.Peer, ownAddrs([]byte(from.Peer), addrs, h.Addrs))
	return h.Providers.Add(now, req.Key, c.Peer)
}

// closest fills in the k members nearest to key but the requester, nearest
// first, and then leaves out those without a known address unless bare is set.
func (h *Handlers) closest(requester peer.ID, key []byte, resp *protocol.Message, bare bool) {
	var room [maxReplicas + 1]*Contact
	target, own := keyspace.KeyOf(key), keyspace.KeyOfString(string(requester))
	k := min(h.K, maxReplicas)
	for _, c := range h.View().AppendClosest(room[:0], &target, k+1) {
		switch {
		case c.Key == own:
			continue
		case k == 0:
			return
		case bare || c.HasAddrs():
			resp.CloserPeers = append(resp.CloserPeers, c.Peer)
			if h.Book.Connected(c.ID) { // we are no member of our own table
				resp.CloserPeers[len(resp.CloserPeers)-1].Connection = protocol.Connected
			}
		}
		k--
	}
}

// connected reports whether answers tell of id as connected.
func (h *Handlers) connected(id peer.ID) bool { return id != h.Self && h.Book.Connected(id) }

// complete adds to a provider what its record leaves open: whether we are
// connected to it, and addresses if none are stored.
func (h *Handlers) complete(p *protocol.Peer) {
	id := peer.ID(p.ID)
	if len(p.Addrs) == 0 {
		if c := h.Book.Contact(id); c != nil {
			*p = c.Peer
		}
	}
	if h.connected(id) {
		p.Connection = protocol.Connected
	}
}

func (h *Handlers) told(key []byte, any bool) {
	if any && h.Told != nil {
		h.Told(key)
	}
}

func checkProviderKey(key []byte) error {
	if len(key) == 0 || len(key) > protocol.MaxProviderKey {
		return fmt.Errorf("%w: a provider key has 1 to %d bytes, not %d", ErrBadRequest, protocol.MaxProviderKey, len(key))
	}
	return nil
}

// anyParses reports whether any address of p is a multiaddr: what deployed
// servers ask of an announcement before they filter (wire.md §6).
func anyParses(p *protocol.Peer) bool {
	for _, a := range p.Addrs {
		if _, ok := protocol.SplitP2P(a, p.ID); ok {
			return true
		}
		if _, err := multiaddr.NewMultiaddrBytes(a); err == nil {
			return true // nothing to dial, yet no reason to refuse
		}
	}
	return false
}
