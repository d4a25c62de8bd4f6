package routing

import (
	"fmt"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// The functions that a program gives us are called with what other peers send,
// on goroutines that are ours. One that panics at such an input must not let
// strangers end the process: it is taken to have refused.

// recovered, deferred, turns a panic of the program's part into an error.
func recovered(part string, err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("kdht: the %s panicked, mend it: %v", part, v)
	}
}

// careful is a validator that finds invalid what it panics at.
type careful struct{ record.Validator }

// Validate implements record.Validator.
func (c careful) Validate(key string, value []byte) (err error) {
	defer recovered("validator", &err)
	return c.Validator.Validate(key, value)
}

// Select implements record.Validator.
func (c careful) Select(key string, values [][]byte) (best int, err error) {
	defer recovered("validator", &err)
	return c.Validator.Select(key, values)
}

// careful returns filters that let nothing pass when they panic; those that are
// nil stay nil.
func (f Filters) careful() Filters {
	if addresses := f.Addresses; addresses != nil {
		f.Addresses = func(addrs []multiaddr.Multiaddr) (kept []multiaddr.Multiaddr) {
			defer func() {
				if recover() != nil {
					kept = nil
				}
			}()
			return addresses(addrs)
		}
	}
	f.Query, f.Table = carefulFilter(f.Query), carefulFilter(f.Table)
	return f
}

func carefulFilter(keep func(peer.AddrInfo) bool) func(peer.AddrInfo) bool {
	if keep == nil {
		return nil
	}
	return func(p peer.AddrInfo) (yes bool) {
		defer func() {
			if recover() != nil {
				yes = false
			}
		}()
		return keep(p)
	}
}
