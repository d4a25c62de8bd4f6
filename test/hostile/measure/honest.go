package measure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/test/hostile"
	"github.com/kdht/kdht/test/hostile/raw"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// What an honest load is: small, and steady.
const (
	steady         = 6
	pace           = 100 * time.Millisecond // between two requests of a client
	newcomers      = 500 * time.Millisecond // between two newcomers
	patience       = 5 * time.Second        // with a request; deployed clients have 10 s
	honestIdentity = 1 << 40                // where the identities of honest peers begin
)

// Sample is what became of one honest request.
type Sample struct {
	At       time.Time
	Took     time.Duration
	Newcomer bool // connecting was part of it
	Err      error
}

// load asks one node all the time.
type load struct {
	target  hostile.Target
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	clients []*raw.Host
	count   atomic.Uint64 // newcomers
	seed    uint64
	waits   time.Duration // for an answer; a newcomer waits twice as long
	lost    atomic.Int64  // connections of the steady clients that ended

	key, value, providerKey []byte

	mu      sync.Mutex
	samples []Sample
}

// newLoad connects the clients, stores what they will ask for, and begins. seed
// makes the identities of this load its own.
func newLoad(ctx context.Context, target hostile.Target, seed uint64, waits time.Duration) (*load, error) {
	l := &load{target: target, seed: seed, waits: waits, value: []byte("an honest value")}
	sum := sha256.Sum256(l.value)
	l.key = []byte("/imm/" + hex.EncodeToString(sum[:]))
	l.providerKey = append([]byte{0x12, 0x20}, sum[:]...)
	l.ctx, l.stop = context.WithCancel(context.Background())
	for i := range steady {
		h, err := raw.New(raw.Config{Key: raw.Key(seed, honestIdentity+uint64(i)), Source: raw.Source(150 + i)})
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.clients = append(l.clients, h)
		if err := h.Connect(ctx, target.AddrInfo); err != nil {
			return nil, errors.Join(fmt.Errorf("measure: an honest client cannot connect: %w", err), l.close())
		}
		h.Network().Notify(&network.NotifyBundle{DisconnectedF: func(network.Network, network.Conn) { l.lost.Add(1) }})
	}
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	for i, h := range l.clients {
		l.running.Go(func() { l.keepAsking(h, i) })
	}
	l.running.Go(l.keepArriving)
	return l, nil
}

// prepare stores a value and a provider record.
func (l *load) prepare(ctx context.Context) error {
	s, err := l.clients[0].Open(ctx, l.target.AddrInfo, l.target.Protocol)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	if l.target.Protocol != public { // there, values need signatures
		if _, err := s.Ask(raw.Message{Type: raw.PutValue, Key: l.key, Value: l.value}.Frame()); err != nil {
			return fmt.Errorf("measure: store the honest value: %w", err)
		}
	}
	me := raw.Peer{ID: []byte(l.clients[0].ID()), Addrs: [][]byte{multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001").Bytes()}}
	add := raw.Message{Type: raw.AddProvider, Key: l.providerKey, Providers: []raw.Peer{me}}.Frame()
	if _, err := s.Ask(append(add, raw.Message{Type: raw.Ping}.Frame()...)); err != nil {
		return fmt.Errorf("measure: announce the honest provider: %w", err)
	}
	return nil
}

// keepAsking is one client: a request every pace, by turns on a stream that is
// kept and on one of its own.
func (l *load) keepAsking(h *raw.Host, i int) {
	var kept *raw.Stream
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := i; ; n++ {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		at := time.Now()
		ctx, cancel := context.WithTimeout(l.ctx, l.waits)
		var err error
		if n%2 == 0 {
			kept, err = l.askKept(ctx, h, kept, n/2)
		} else {
			err = l.askOnce(ctx, h, n/2)
		}
		cancel()
		l.add(Sample{At: at, Took: time.Since(at), Err: err})
	}
}

// askKept asks on the stream given, or as deployed clients do if that has ended:
// once more on a fresh one. It returns the stream to keep.
func (l *load) askKept(ctx context.Context, h *raw.Host, kept *raw.Stream, kind int) (*raw.Stream, error) {
	if kept != nil {
		if l.ask(ctx, h, kept, kind) == nil {
			return kept, nil
		}
		_ = kept.Reset()
	}
	s, err := h.Open(ctx, l.target.AddrInfo, l.target.Protocol)
	if err != nil {
		return nil, err
	}
	if err := l.ask(ctx, h, s, kind); err != nil {
		_ = s.Reset()
		return nil, err
	}
	return s, nil
}

// askOnce asks on a stream of its own.
func (l *load) askOnce(ctx context.Context, h *raw.Host, kind int) error {
	s, err := h.Open(ctx, l.target.AddrInfo, l.target.Protocol)
	if err != nil {
		return err
	}
	err = l.ask(ctx, h, s, kind)
	_ = s.Close()
	return err
}

var (
	errNoValue    = errors.New("the honest value is gone or wrong")
	errNoProvider = errors.New("the honest provider is gone")
	errNoPeers    = errors.New("no closer peers")
)

// ask puts one of the small requests and checks what comes back.
func (l *load) ask(ctx context.Context, h *raw.Host, s *raw.Stream, kind int) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	m := raw.Message{Type: raw.FindNode, Key: []byte(h.ID())}
	switch kind % 4 {
	case 1:
		m = raw.Message{Type: raw.GetValue, Key: l.key}
	case 2:
		m = raw.Message{Type: raw.GetProviders, Key: l.providerKey}
	case 3:
		m = raw.Message{Type: raw.Ping}
	}
	answer, err := s.Ask(m.Frame())
	switch {
	case err != nil:
		return err
	case m.Type == raw.GetValue && l.target.Protocol != public && !bytes.Equal(answer.Value, l.value):
		return errNoValue
	case m.Type == raw.GetProviders && len(answer.Providers) == 0:
		return errNoProvider
	case m.Type == raw.FindNode && l.target.Protocol != public && len(answer.Closer) == 0:
		return errNoPeers
	}
	return nil
}

// keepArriving has peers arrive that were never there before.
func (l *load) keepArriving() {
	tick := time.NewTicker(newcomers)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.running.Go(l.arrive)
		case <-l.ctx.Done():
			return
		}
	}
}

// arrive is one newcomer: it connects, asks for its neighbours, and leaves.
func (l *load) arrive() {
	n := l.count.Add(1)
	h, err := raw.New(raw.Config{Key: raw.Key(l.seed, 2*honestIdentity+n), Source: raw.Source(int(160 + n%30))})
	if err != nil {
		return
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(l.ctx, 2*l.waits)
	defer cancel()
	at := time.Now()
	err = l.askOnce(ctx, h, 0)
	l.add(Sample{At: at, Took: time.Since(at), Newcomer: true, Err: err})
}

// add keeps a sample, unless the load was ended during it.
func (l *load) add(s Sample) {
	if l.ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
}

// between returns the samples that began in a span of time.
func (l *load) between(from, to time.Time) (in []Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.samples {
		if !s.At.Before(from) && s.At.Before(to) {
			in = append(in, s)
		}
	}
	return in
}

// close ends the load.
func (l *load) close() error {
	l.stop()
	l.running.Wait()
	var errs []error
	for _, h := range l.clients {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}
