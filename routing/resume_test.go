package routing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/routing/snapshot"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// shelf is a Snapshots in memory.
type shelf struct {
	mu    sync.Mutex
	peers []snapshot.Peer
	saves int
	err   error
	hang  chan struct{} // Save waits for it to be closed, if not nil
}

func (s *shelf) Load() ([]snapshot.Peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers, s.err
}

func (s *shelf) Save(peers []snapshot.Peer) error {
	if s.hang != nil {
		<-s.hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers, s.saves = slices.Clone(peers), s.saves+1
	return s.err
}

// revived starts a DHT anew under the identity of one that was closed.
func (w *world) revived(f *fake, cfg Config) *DHT {
	f.change(func(f *fake) {
		f.closed, f.down = false, false
		f.addrs = make(map[peer.ID][]multiaddr.Multiaddr)
	})
	d, _ := w.startOn(f, cfg)
	return d
}

// A node that comes back while the peer it once joined through is gone knows its
// network from its snapshot, and finds what is stored there.
func TestResumesWithoutBootstrapPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(12, withNumbers(t))
		cfg := withNumbers(t)
		table := &shelf{}
		cfg.Stores.Table, cfg.BootstrapPeers = table, []peer.AddrInfo{fakes[0].info()}
		d, f := w.start(cfg)
		if err := d.WaitPeers(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveFirst + time.Second)
		if saved := d.Stats().Snapshot; table.saves != 1 || len(table.peers) != d.Stats().Table || saved.Saved != len(table.peers) {
			t.Fatalf("%d saves, the last of %d peers; %+v", table.saves, len(table.peers), saved)
		}
		seed(t, dhts[5], "/v/a", "1")
		if err := dhts[5].PutValue(t.Context(), "/v/a", []byte("1")); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil || table.saves != 2 {
			t.Fatalf("%d saves at the end: %v", table.saves, err)
		}
		fakes[0].crash()
		cfg.BootstrapPeers = nil
		back := w.revived(f, cfg)
		within, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := back.WaitReady(within); err != nil {
			t.Fatal(err)
		}
		if value, err := back.GetValue(t.Context(), "/v/a"); string(value) != "1" || err != nil {
			t.Errorf("get: %q, %v", value, err)
		}
		if s := back.Stats().Snapshot; s.Loaded != len(table.peers) || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

// Peers of the last run are waited for, and the error says so.
func TestNobodyOfTheLastRunAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gone := w.add()
		gone.crash()
		table := &shelf{peers: []snapshot.Peer{{ID: []byte(gone.id), Addrs: [][]byte{gone.addr.Bytes()}}, {ID: []byte("no id")}}}
		d, _ := w.start(Config{Stores: Stores{Table: table}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := d.WaitReady(ctx)
		if !errors.Is(err, ErrNoPeers) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "none of the 1 peers of the last run") {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Hour)
		if table.saves > 0 || len(table.peers) != 2 {
			t.Errorf("an empty table was saved %d times over one that was worth more", table.saves)
		}
		gone.revive()
		w.startOn(gone, Config{})
		within, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		if err := d.WaitReady(within); err != nil {
			t.Errorf("the peer is back: %v", err)
		}
	})
}

// A snapshot that cannot be read is told of and left out.
func TestDamagedSnapshotIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		table := &shelf{peers: []snapshot.Peer{{ID: []byte(w.add().id)}}, err: snapshot.ErrCorrupt}
		d, _ := w.start(Config{Stores: Stores{Table: table}})
		if err := d.WaitReady(t.Context()); err != nil {
			t.Errorf("the first of its network is not ready: %v", err)
		}
		if s := d.Stats().Snapshot; !errors.Is(s.Err, snapshot.ErrCorrupt) || s.Loaded != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who has left the table stays in the snapshot for a while.
func TestSnapshotRemembersWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		table := &shelf{}
		d, _ := w.start(Config{Stores: Stores{Table: table}})
		other, f := w.start(Config{})
		if err := d.transport.Connect(t.Context(), f.info()); err != nil {
			t.Fatal(err)
		}
		third, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
		if err := d.WaitPeers(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveFirst + time.Second)
		if err := third.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := d.Stats().Table; n != 1 || len(table.peers) != 2 || peer.ID(table.peers[0].ID) != other.ID() {
			t.Errorf("%d members, %d peers kept", n, len(table.peers))
		}
	})
}

// A disk that hangs is not waited for at the end, whether it is found out then or has
// hung for a while.
func TestCloseDoesNotWaitForTheDisk(t *testing.T) {
	for _, age := range []time.Duration{0, 2 * saveFirst} {
		closeInTime(t, age)
	}
}

func closeInTime(t *testing.T, age time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		table := &shelf{hang: make(chan struct{})}
		d, _ := w.start(Config{Stores: Stores{Table: table}})
		_, f := w.start(Config{})
		if err := d.transport.Connect(t.Context(), f.info()); err != nil {
			t.Fatal(err)
		}
		if err := d.WaitPeers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(age)
		began := time.Now()
		if err := d.Close(); err != nil || time.Since(began) > time.Second {
			t.Errorf("%v old, after %v: %v", age, time.Since(began), err)
		}
		close(table.hang)
	})
}
