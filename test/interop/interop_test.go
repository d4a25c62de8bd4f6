package interop_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"
)

const (
	protocolID  = "/kdht/kad/1.0.0"
	opTimeout   = 20 * time.Second // of one operation
	joinTimeout = 40 * time.Second // until all know each other
	// patience is how long peers of other stacks that joined in the same second may take to find each other by themselves; they look for
	// neighbours again only minutes later, and are asked to look earlier here. kdht looks again by itself and is never asked.
	patience = 5 * time.Second
)

// member is a peer of any stack.
type member interface {
	stack() string
	info() peer.AddrInfo
	connect(ctx context.Context, to peer.AddrInfo) error
	tableSize(ctx context.Context) (int, error)
	refresh(ctx context.Context) // looks for neighbours again
	about(ctx context.Context) string
	findPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error)
	put(ctx context.Context, key string, value []byte) (holders []peer.ID, err error)
	get(ctx context.Context, key string) (value []byte, from []peer.ID, err error)
	provide(ctx context.Context, c cid.Cid) error
	findProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error)
	closest(ctx context.Context, key string) ([]peer.ID, error)
	die()
}

// live tells whether the live peers are asked for; a plain `go test ./...` leaves them to the step of .ci/run that asks.
func live() bool { return os.Getenv("KDHT_INTEROP") == "1" }

// network is a set of members that listen on one kind of transport.
type network struct {
	t       *testing.T
	others  *stack // of the members that are not ours; nil if of several
	listen  string
	members []member
}

// other and kdht add a member that joins through the given one, nil for the first.
func (n *network) other(through member) *foreignPeer { return n.add(n.others, through) }

func (n *network) add(of *stack, through member) *foreignPeer {
	n.t.Helper()
	p := startForeign(n.t, of, n.listen)
	n.members = append(n.members, p)
	if through != nil {
		ctx, cancel := context.WithTimeout(n.t.Context(), opTimeout)
		defer cancel()
		if err := p.connect(ctx, through.info()); err != nil {
			n.t.Fatalf("%s joining through %s: %v", p.stack(), through.stack(), err)
		}
	}
	return p
}

func (n *network) kdht(through member) *kdhtPeer {
	n.t.Helper()
	var bootstrap []peer.AddrInfo
	if through != nil {
		bootstrap = append(bootstrap, through.info())
	}
	p := startKdht(n.t, []string{n.listen}, bootstrap...)
	n.members = append(n.members, p)
	return p
}

// settle waits until every member knows at least so many others.
func (n *network) settle(others int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), joinTimeout)
	defer cancel()
	start := time.Now()
	asked := map[member]time.Time{}
	eventually(n.t, ctx, func() error {
		var lonely []error
		for i, m := range n.members {
			size, err := m.tableSize(ctx)
			if err != nil {
				return err
			}
			if size >= others {
				continue
			}
			lonely = append(lonely, fmt.Errorf("member %d (%s, %s) knows %d peers, want %d", i, m.stack(), m.about(ctx), size, others))
			if m.stack() != "kdht" && time.Since(start) > patience && time.Since(asked[m]) > patience {
				n.t.Logf("asked to look again: %v", lonely[len(lonely)-1])
				asked[m] = time.Now()
				m.refresh(ctx)
			}
		}
		return errors.Join(lonely...)
	})
}

// remove takes a member that has died out of the network.
func (n *network) remove(gone member) {
	n.members = slices.DeleteFunc(n.members, func(m member) bool { return m == gone })
}

// foreign is the first member of another stack.
func (n *network) foreign() *foreignPeer {
	i := slices.IndexFunc(n.members, func(m member) bool { return m.stack() != "kdht" })
	return n.members[i].(*foreignPeer)
}

// ids are the members' without one, nearest to the key first.
func (n *network) ids(key string, without member) []peer.ID {
	target := sha256.Sum256([]byte(key))
	var ids []peer.ID
	for _, m := range n.members {
		if m != without {
			ids = append(ids, m.info().ID)
		}
	}
	slices.SortFunc(ids, func(a, b peer.ID) int { return slices.Compare(distance(target, a), distance(target, b)) })
	return ids
}

// distance is the XOR of the target and the SHA-256 of the id's bytes (wire.md §4), here written a second time as the reference.
func distance(target [32]byte, id peer.ID) []byte {
	key := sha256.Sum256([]byte(id))
	for i := range key {
		key[i] ^= target[i]
	}
	return key[:]
}

// eventually retries a check until it holds or ctx ends; an error that only says so does not hide what was wrong before.
func eventually(t *testing.T, ctx context.Context, check func() error) {
	t.Helper()
	var wrong error
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if wrong == nil || ctx.Err() == nil {
			wrong = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%v; last: %v", ctx.Err(), wrong)
		}
	}
}

// keyFor names a value after a text, in no more bytes than the smallest limit of a stack: py-libp2p resets a FIND_NODE for a key of
// more than 50 that is no multihash.
func keyFor(text string) string {
	return fmt.Sprintf("/v/%x", sha256.Sum256([]byte(text)))[:40]
}

func cidOf(text string) cid.Cid {
	hash, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// within runs one operation under its deadline.
func within[T any](t *testing.T, op func(context.Context) (T, error)) (T, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), opTimeout)
	defer cancel()
	return op(ctx)
}

func TestLive(t *testing.T) {
	if !live() {
		t.Log("not asked for: KDHT_INTEROP=1 runs live peers of other stacks, see README.md")
		return
	}
	for _, of := range []struct {
		name    string
		install func(*testing.T) *stack
	}{{"js", js}, {"rust", rust}, {"py", py}} {
		t.Run(of.name, func(t *testing.T) {
			others := of.install(t)
			onEach(t, func(t *testing.T, listen string) { testStack(t, others, listen) })
		})
	}
	t.Run("all", func(t *testing.T) {
		stacks := []*stack{js(t), rust(t), py(t)}
		onEach(t, func(t *testing.T, listen string) { testTogether(t, stacks, listen) })
	})
}

// onEach runs a test over each kind of transport.
func onEach(t *testing.T, run func(t *testing.T, listen string)) {
	t.Run("tcp", func(t *testing.T) { run(t, "/ip4/127.0.0.1/tcp/0") })
	t.Run("quic", func(t *testing.T) { run(t, "/ip4/127.0.0.1/udp/0/quic-v1") })
}

func testStack(t *testing.T, others *stack, listen string) {
	t.Run("alone", func(t *testing.T) { testAlone(t, &network{t: t, others: others, listen: listen}) })
	t.Run("join through "+others.name, func(t *testing.T) {
		n := &network{t: t, others: others, listen: listen}
		first := n.other(nil)
		n.kdht(first)
		n.kdht(first)
		n.other(first)
		testAll(t, n)
	})
	t.Run("join through kdht", func(t *testing.T) {
		n := &network{t: t, others: others, listen: listen}
		first := n.kdht(nil)
		n.other(first)
		n.other(first)
		n.kdht(first)
		testAll(t, n)
	})
	if overTCP := strings.Contains(listen, "/tcp/"); overTCP && others.manyOverTCP || !overTCP && others.manyOverQUIC {
		t.Run("bootstrap dies", func(t *testing.T) { testBootstrapDies(t, &network{t: t, others: others, listen: listen}, overTCP) })
	}
}

// testTogether makes one network of a peer of each stack and two of ours, in which everybody gets everybody's
// value, and finds the providers that are ours, as we find all.
func testTogether(t *testing.T, stacks []*stack, listen string) {
	n := &network{t: t, listen: listen}
	first := n.kdht(nil)
	for _, of := range stacks {
		n.add(of, first)
	}
	n.kdht(n.members[len(n.members)-1])
	n.settle(len(n.members) - 1)
	for _, from := range n.members {
		if _, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return from.put(ctx, keyOf(from), valueOf(from)) }); err != nil {
			t.Errorf("%s put: %v", from.stack(), err)
		}
		c := cidOf("of " + from.info().ID.String())
		if _, err := within(t, func(ctx context.Context) (any, error) { return nil, from.provide(ctx, c) }); err != nil {
			t.Errorf("%s provide: %v", from.stack(), err)
		}
	}
	getAll(t, n.members, n.members)
	for _, at := range n.members {
		for _, from := range n.members {
			if at != from && (at.stack() == "kdht" || from.stack() == "kdht") { // what others have of each other is not ours to promise
				testProvidedBy(t, at, cidOf("of "+from.info().ID.String()), from)
			}
		}
	}
}

// testAll has every member of a network of four do everything, and checks it at every member of the other stack.
func testAll(t *testing.T, n *network) {
	n.settle(len(n.members) - 1)
	for i, from := range n.members {
		for j, to := range n.members {
			if from.stack() == to.stack() {
				continue
			}
			name := fmt.Sprintf("%s%d to %s%d", from.stack(), i, to.stack(), j)
			t.Run(name, func(t *testing.T) {
				t.Run("find peer", func(t *testing.T) { testFindPeer(t, from, to) })
				t.Run("put and get", func(t *testing.T) { testPutGet(t, from, to, name) })
				t.Run("provide and find providers", func(t *testing.T) { testProvide(t, from, to, name) })
			})
		}
		t.Run(fmt.Sprintf("closest by %s%d", from.stack(), i), func(t *testing.T) { testClosest(t, n, from) })
	}
	ours := slices.DeleteFunc(slices.Clone(n.members), func(m member) bool { return m.stack() != "kdht" })
	t.Run("bare requests", func(t *testing.T) {
		testRequests(t, ours[0].(*kdhtPeer), ours[1].(*kdhtPeer), n.foreign())
	})
	t.Run("newer value wins", func(t *testing.T) { testNewerWins(t, n) })
	t.Run("content that names itself", func(t *testing.T) { testImmutable(t, n) })
	t.Run("newcomers", func(t *testing.T) { testNewcomers(t, n) })
}

func testFindPeer(t *testing.T, from, to member) {
	got, err := within(t, func(ctx context.Context) (peer.AddrInfo, error) { return from.findPeer(ctx, to.info().ID) })
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != to.info().ID || !dialable(got, to.info()) {
		t.Errorf("found %v, want an address of %v", got, to.info())
	}
}

// dialable reports whether got names an address that the peer listens on.
func dialable(got, truth peer.AddrInfo) bool {
	for _, a := range got.Addrs {
		if slices.ContainsFunc(truth.Addrs, a.Equal) {
			return true
		}
	}
	return false
}

// testPutGet puts at one member: the other must be among the holders, which proves the request and its answer, and find the value.
func testPutGet(t *testing.T, from, to member, name string) {
	key, value := keyFor(t.Name()+name), []byte("value of "+name)
	holders, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return from.put(ctx, key, value) })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(holders, to.info().ID) {
		t.Errorf("%v hold the value, %s is not among them", holders, to.info().ID)
	}
	testGet(t, to, key, value)
}

func testGet(t *testing.T, at member, key string, want []byte) (from []peer.ID) {
	t.Helper()
	_, err := within(t, func(ctx context.Context) (got []byte, err error) {
		got, from, err = at.get(ctx, key)
		if err == nil && string(got) != string(want) {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return got, err
	})
	if err != nil {
		t.Errorf("%s get %s: %v", at.stack(), key, err)
	}
	return from
}

func testProvide(t *testing.T, from, to member, name string) {
	c := cidOf(t.Name() + name)
	if _, err := within(t, func(ctx context.Context) (any, error) { return nil, from.provide(ctx, c) }); err != nil {
		t.Fatal(err)
	}
	testProvidedBy(t, to, c, from)
}

// testProvidedBy asks a member for a provider. What another stack has announced it may just have sent, as the request has no answer;
// ours is there when Provide returns.
func testProvidedBy(t *testing.T, at member, c cid.Cid, provider member) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), opTimeout)
	defer cancel()
	find := func() error {
		found, err := at.findProviders(ctx, c)
		if err != nil {
			return fmt.Errorf("%s find providers: %w", at.stack(), err)
		}
		i := slices.IndexFunc(found, func(p peer.AddrInfo) bool { return p.ID == provider.info().ID })
		if i < 0 || !dialable(found[i], provider.info()) {
			return fmt.Errorf("%s found the providers %v, want one with an address of %v", at.stack(), found, provider.info())
		}
		return nil
	}
	if provider.stack() != "kdht" {
		eventually(t, ctx, find)
	} else if err := find(); err != nil {
		t.Error(err)
	}
}

func testClosest(t *testing.T, n *network, from member) {
	for i := range 3 {
		key := fmt.Sprintf("closest %d", i)
		got, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return from.closest(ctx, key) })
		if err != nil {
			t.Fatal(err)
		}
		want := n.ids(key, from)
		if p, foreign := from.(*foreignPeer); foreign && p.of.unordered {
			slices.SortFunc(got, func(a, b peer.ID) int { return cmp.Compare(slices.Index(want, a), slices.Index(want, b)) })
		}
		if !slices.Equal(got, want) {
			t.Errorf("closest to %q: %v, want %v", key, got, want)
		}
	}
}

// testNewerWins puts values of one key in turn by both stacks; everybody must end with the largest.
func testNewerWins(t *testing.T, n *network) {
	key := keyFor(t.Name())
	for i, m := range n.members {
		if _, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return m.put(ctx, key, []byte{'a' + byte(i)}) }); err != nil {
			t.Fatalf("%s: %v", m.stack(), err)
		}
	}
	newest := []byte{'a' + byte(len(n.members)-1)}
	for _, m := range n.members {
		testGet(t, m, key, newest)
	}
	testOlderLoses(t, n, key, newest)
}

// testOlderLoses has a peer of the other stack put an older value after the newest. Some stacks take it from each other; kdht does
// not, and whoever asks it still gets the newest.
func testOlderLoses(t *testing.T, n *network, key string, newest []byte) {
	holders, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return n.foreign().put(ctx, key, []byte("A")) })
	if err != nil {
		t.Logf("the older value is not even sent: %v", err)
	}
	for _, m := range n.members {
		if m.stack() == "kdht" && slices.Contains(holders, m.info().ID) {
			t.Errorf("kdht took an older value")
		}
		testGet(t, m, key, newest)
	}
}

// testImmutable checks the namespace whose keys are hashes: both stacks know it, and neither takes a value under a foreign name.
func testImmutable(t *testing.T, n *network) {
	for _, m := range n.members {
		value := []byte("immutable by " + m.info().ID.String())
		key := fmt.Sprintf("/imm/%x", sha256.Sum256(value))
		if _, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return m.put(ctx, key, value) }); err != nil {
			t.Fatalf("%s: %v", m.stack(), err)
		}
		for _, other := range n.members {
			testGet(t, other, key, value)
		}
	}
	testLie(t, n)
}

// testLie has a peer of the other stack put a value under another's hash: kdht takes it from nobody, whoever else holds it.
func testLie(t *testing.T, n *network) {
	liar := n.foreign()
	key := fmt.Sprintf("/imm/%x", sha256.Sum256([]byte("the truth")))
	holders, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return liar.put(ctx, key, []byte("a lie")) })
	if err != nil {
		t.Logf("the lie is not even sent: %v", err)
	}
	for _, m := range n.members {
		if slices.Contains(holders, m.info().ID) && (m.stack() == "kdht" || n.others.checks) {
			t.Errorf("%s took a value that is not what its key says", m.stack())
		}
		if m.stack() != "kdht" {
			continue
		}
		value, err := within(t, func(ctx context.Context) ([]byte, error) {
			value, _, err := m.get(ctx, key)
			return value, err
		})
		if !errors.Is(err, routing.ErrNotFound) {
			t.Errorf("kdht got %q (%v) under the hash of something else", value, err)
		}
	}
}

// testNewcomers lets one member of each stack join after the fact, through the other stack. What they find they can only have
// from others, and each must have been answered by the other stack too.
func testNewcomers(t *testing.T, n *network) {
	key, value, c := keyFor(t.Name()), []byte("old news"), cidOf(t.Name())
	old := slices.Clone(n.members)
	if _, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return old[1].put(ctx, key, value) }); err != nil {
		t.Fatal(err)
	}
	if _, err := within(t, func(ctx context.Context) (any, error) { return nil, old[2].provide(ctx, c) }); err != nil {
		t.Fatal(err)
	}
	stack := map[peer.ID]string{}
	first := map[string]member{}
	for _, m := range old {
		stack[m.info().ID] = m.stack()
		first[m.stack()] = m
	}
	newcomers := []member{n.other(first["kdht"]), n.kdht(first[n.others.name])}
	n.settle(len(old))
	for _, m := range newcomers { // the other first: kdht brings the value to those near the key that lack it
		heard := map[string]bool{}
		for _, id := range testGet(t, m, key, value) {
			heard[stack[id]] = true
		}
		if !heard[n.others.name] || !heard["kdht"] {
			t.Errorf("%s newcomer got the value from %v, want from both stacks", m.stack(), heard)
		}
		testProvidedBy(t, m, c, old[2])
	}
}

// testBootstrapDies builds a network of 5 other and 15 kdht peers that all joined through one, ends that one without a word, and
// checks that every other finds every other's value, whether put before that end or after, and that a newcomer joins through a
// survivor of either stack.
func testBootstrapDies(t *testing.T, n *network, kdhtFirst bool) {
	var first member
	if kdhtFirst {
		first = n.kdht(nil)
		n.fill(first, 14, 5)
	} else {
		first = n.other(nil)
		n.fill(first, 15, 4)
	}
	n.settle(15)
	var before, after []member
	for i, m := range n.members[1:] {
		if i%2 == 0 {
			before = append(before, m)
		} else {
			after = append(after, m)
		}
	}
	putAll(t, before)
	first.die()
	n.remove(first)
	putAll(t, after)
	getAll(t, n.members, n.members)
	testNewcomer(t, n, n.members[0])
	testNewcomer(t, n, n.members[len(n.members)-1])
}

func (n *network) fill(first member, kdht, others int) {
	n.t.Helper()
	for range kdht {
		n.kdht(first)
	}
	for range others {
		n.other(first)
	}
}

func keyOf(m member) string { return keyFor("of " + m.info().ID.String()) }

func valueOf(m member) []byte { return []byte("value of " + m.info().ID.String()) }

// each runs one thing for every member, at most so many at a time, and returns all that went wrong.
func each(members []member, atOnce int, run func(m member) error) error {
	slots, errs := make(chan struct{}, atOnce), make(chan error, len(members))
	for i, m := range members {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			err := run(m)
			if err != nil {
				err = fmt.Errorf("member %d (%s %s): %w", i, m.stack(), m.info().ID, err)
			}
			errs <- err
		}()
	}
	var all []error
	for range members {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func putAll(t *testing.T, members []member) {
	t.Helper()
	if err := each(members, 4, func(m member) error {
		holders, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return m.put(ctx, keyOf(m), valueOf(m)) })
		if err == nil && len(holders) == 0 {
			err = errors.New("put: nobody holds the value")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// getAll has every member get the value of each of the others. Several at a time from one member too, since a js peer tries a
// dead one again in every lookup, which over QUIC takes it ten seconds.
func getAll(t *testing.T, members, others []member) {
	t.Helper()
	start, took := time.Now(), map[string][]time.Duration{}
	var mu sync.Mutex
	if err := each(members, 4, func(m member) error {
		return each(others, 6, func(other member) error {
			begun := time.Now()
			_, err := within(t, func(ctx context.Context) (any, error) {
				value, _, err := m.get(ctx, keyOf(other))
				if err == nil && string(value) != string(valueOf(other)) {
					err = fmt.Errorf("got %q, want %q", value, valueOf(other))
				}
				return nil, err
			})
			mu.Lock()
			took[m.stack()] = append(took[m.stack()], time.Since(begun))
			mu.Unlock()
			return err
		})
	}); err != nil {
		t.Error(err)
	}
	for stack, all := range took {
		slices.Sort(all)
		t.Logf("%s: %d gets, median %v, slowest %v", stack, len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	}
	t.Logf("%d peers got the values of %d in %.1f s", len(members), len(others), time.Since(start).Seconds())
}

func testNewcomer(t *testing.T, n *network, through member) {
	t.Helper()
	newcomer := joinThrough(t, n, through)
	getAll(t, []member{newcomer}, n.members[:3])
	newcomer.die()
}

// joinThrough starts a node that joins through a survivor. A js peer whose bootstrap peer has
// died has been seen to take no QUIC connection of a newcomer for as long as that waited, and
// the next newcomer's at once: three may try.
func joinThrough(t *testing.T, n *network, through member) *kdhtPeer {
	t.Helper()
	for try := 1; ; try++ {
		newcomer := startKdht(t, []string{n.listen}, through.info())
		ctx, cancel := context.WithTimeout(t.Context(), joinTimeout)
		err := newcomer.dht.WaitReady(ctx)
		cancel()
		if err == nil {
			return newcomer
		}
		newcomer.die()
		if try == 3 || through.stack() == "kdht" {
			t.Fatalf("joining through a survivor (%s), try %d: %v", through.stack(), try, err)
		}
		t.Logf("joining through a survivor (%s), try %d: %v", through.stack(), try, err)
	}
}
