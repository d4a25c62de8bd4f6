package routing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// maxLocalProviders is how many providers of a key our own store is asked for.
const maxLocalProviders = 4096

// providerKey returns the key of c's provider records: its multihash.
func (d *DHT) providerKey(c cid.Cid) ([]byte, error) {
	switch {
	case d.providers == nil:
		return nil, errProvidersOff
	case !c.Defined():
		return nil, errors.New("kdht: the CID is empty: it names no content")
	case len(c.Hash()) > protocol.MaxProviderKey:
		return nil, fmt.Errorf("kdht: the multihash of the CID has %d bytes, and no peer takes more than %d: name the content by a hash such as SHA-256",
			len(c.Hash()), protocol.MaxProviderKey)
	}
	return c.Hash(), nil
}

// Provide notes that we can serve c and, if announce is set, tells the k peers
// nearest to it, now and again every 22 hours until StopProviding. It returns as soon as
// half of these have taken the announcement, and the others are told meanwhile
// (WithFinalReport, Thorough). The error
// wraps ErrNoPeers or ErrNotStored if no peer took the announcement; it is then
// tried again by itself. So it is when ctx ends before: ctx bounds how long is
// waited here, and only StopProviding ends the providing.
func (d *DHT) Provide(ctx context.Context, c cid.Cid, announce bool) (err error) {
	s := d.storing(ctx)
	defer s.end(&err)
	key, err := d.providerKey(c)
	if err != nil {
		return err
	}
	if err := d.provideHere(d.loop.now(), key); err != nil {
		return outcome(ctx, err)
	}
	if !announce {
		d.provided.set(string(key), d.loop.now())
		return nil
	}
	kept := d.keepProviding(key) // before the run: StopProviding may come while it lasts
	err = s.run(ctx, OpProvide, key, func(now time.Time, n *kademlia.Node, _ *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		return n.Provide(now, key, done)
	})
	if again := d.announced(key, err == nil); err == nil {
		err = errors.Join(kept, again)
	}
	return aloneWith("provider record", err)
}

// StopProviding stops announcing c. Others forget the last announcement after
// 48 hours.
func (d *DHT) StopProviding(c cid.Cid) error {
	key, err := d.providerKey(c)
	if err != nil {
		return err
	}
	return d.stopProviding(key)
}

func (d *DHT) stopProviding(key []byte) error {
	select {
	case <-d.closing:
		return ErrClosed
	default:
	}
	d.provided.remove(string(key))
	_, err := d.kept.store.Remove(key)
	d.providers.Remove(key, []byte(d.transport.ID()))
	return err
}

// FindProviders returns up to k providers of c.
func (d *DHT) FindProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error) {
	FillReport(ctx, Report{})
	key, err := d.providerKey(c)
	if err != nil {
		return nil, err
	}
	var all []peer.AddrInfo
	at := make(map[peer.ID]int)
	err = d.findProviders(ctx, key, d.cfg.K, func(p peer.AddrInfo) {
		if i, known := at[p.ID]; known {
			all[i] = p
			return
		}
		at[p.ID] = len(all)
		all = append(all, p)
	})
	return all, err
}

// FindProvidersAsync sends providers of c as they are found, those in our own
// store first, and closes the channel after count different ones (0: all there
// are), when nobody is left to ask, or when ctx ends. A provider whose addresses
// are only learned later is sent once more.
func (d *DHT) FindProvidersAsync(ctx context.Context, c cid.Cid, count int) <-chan peer.AddrInfo {
	FillReport(ctx, Report{})
	out := make(chan peer.AddrInfo, 1)
	key, err := d.providerKey(c)
	if err != nil {
		close(out)
		return out
	}
	started := d.spawn(func() {
		defer close(out)
		within, cancel := d.within(ctx)
		defer cancel()
		_ = d.findProviders(within, key, max(0, count), func(p peer.AddrInfo) {
			select {
			case out <- p:
			case <-within.Done():
			}
		})
	})
	if !started {
		close(out)
	}
	return out
}

// findProviders tells found each of up to count providers of key, on this
// goroutine. The search ends as soon as there are count of them, those of our own
// store included.
func (d *DHT) findProviders(ctx context.Context, key []byte, count int, found func(peer.AddrInfo)) error {
	f := finding{count: count, found: found, addrs: make(map[peer.ID]bool)}
	stored, err := d.providers.Append(d.loop.now(), key, nil, maxLocalProviders)
	if err != nil {
		return outcome(ctx, err)
	}
	for i := range stored {
		f.take(d.storedProvider(&stored[i]))
	}
	if f.enough() {
		return nil
	}
	searching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	_, err = d.run(searching, OpFindProviders, key, func(now time.Time, n *kademlia.Node, op *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		return n.FindProviders(now, key, count, func(c *kademlia.Contact) {
			op.tell(func() {
				info := addrInfo(c)
				publish(op.ctx, core.QueryEvent{Type: core.Provider, ID: c.ID, Responses: []*peer.AddrInfo{&info}})
				if f.take(info); f.enough() {
					stop(errEnough)
				}
			})
		}, done)
	})
	if f.enough() || errors.Is(err, ErrNoPeers) && len(f.addrs) > 0 {
		return nil // what stopped the search was us, or our own store knew some
	}
	return err
}

// errEnough is why a search ends that has found as much as was asked for.
var errEnough = errors.New("kdht: found enough")

// storedProvider returns a provider of our own store, with the addresses we know
// of it if none are stored.
func (d *DHT) storedProvider(p *protocol.Peer) peer.AddrInfo {
	id := peer.ID(p.ID)
	if len(p.Addrs) == 0 {
		if c := d.book.Contact(id); c != nil {
			return addrInfo(c)
		}
	}
	return peer.AddrInfo{ID: id, Addrs: multiaddrs(p.Addrs)}
}

// finding counts different providers.
type finding struct {
	count int
	found func(peer.AddrInfo)
	addrs map[peer.ID]bool // those found, and whether with addresses
}

func (f *finding) enough() bool { return f.count > 0 && len(f.addrs) >= f.count }

// take passes p on if it is news and wanted.
func (f *finding) take(p peer.AddrInfo) {
	had, known := f.addrs[p.ID]
	if known && (had || len(p.Addrs) == 0) || !known && f.enough() {
		return
	}
	f.addrs[p.ID] = len(p.Addrs) > 0
	f.found(p)
}
