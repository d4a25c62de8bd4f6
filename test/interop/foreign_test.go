package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// stack is another implementation: how its peers are started, and in what they differ from what wire.md asks for.
type stack struct {
	name  string
	start []string // the program and its first arguments; the last one, added per peer, is its configuration

	checks         bool // takes no value that its namespace's rule refuses
	pongs          bool // answers the protocol's PING
	renews         bool // takes the value that it has
	longKeys       bool // answers FIND_NODE for any key, not only for those that may be of peers
	unordered      bool // tells the closest peers in the order of their answers
	removesValues  bool // can give up a value it keeps
	stopsProviding bool // can give up being a provider
	manyOverTCP    bool // is put into a network of 20, which takes some stacks minutes
	manyOverQUIC   bool
}

// foreignPeer is a peer of another stack in a process of its own. Its methods may be called from many goroutines.
type foreignPeer struct {
	of    *stack
	id    peer.ID
	addrs []multiaddr.Multiaddr
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the process has ended
	log   lockedBuffer  // its stderr

	mu      sync.Mutex
	next    int
	waiting map[int]chan foreignAnswer
}

type foreignAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	// Of the first line only.
	Event string   `json:"event"`
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

// startForeign starts a peer that listens on the given addresses, and ends it with the test.
func startForeign(t *testing.T, of *stack, listen ...string) *foreignPeer {
	t.Helper()
	config, err := json.Marshal(map[string]any{"protocol": protocolID, "listen": listen})
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(of.start[1:]), string(config))
	p := &foreignPeer{of: of, cmd: exec.Command(of.start[0], args...), ended: make(chan struct{}), waiting: map[int]chan foreignAnswer{}}
	p.cmd.Stderr = &p.log
	p.cmd.WaitDelay = 5 * time.Second
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting a %s peer: %v", of.name, err)
	}
	ready := make(chan foreignAnswer, 1)
	go p.read(stdout, ready)
	t.Cleanup(func() { p.end(t) })
	select {
	case first := <-ready:
		p.introduce(t, first)
	case <-p.ended:
		t.Fatalf("a %s peer ended at its start:\n%s", of.name, p.log.text())
	case <-time.After(30 * time.Second):
		t.Fatalf("a %s peer did not get ready within 30 s:\n%s", of.name, p.log.text())
	}
	return p
}

func (p *foreignPeer) introduce(t *testing.T, first foreignAnswer) {
	t.Helper()
	id, err := peer.Decode(first.Peer)
	if err != nil || first.Event != "ready" {
		t.Fatalf("a %s peer began with %+v (%v)", p.of.name, first, err)
	}
	p.id = id
	for _, text := range first.Addrs {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			t.Fatal(err)
		}
		a, _ = peer.SplitAddr(a)
		p.addrs = append(p.addrs, a)
	}
}

// read hands every answer to who waits for it, until the process ends.
func (p *foreignPeer) read(stdout io.Reader, ready chan<- foreignAnswer) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a foreignAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			fmt.Fprintf(&p.log, "not an answer: %s (%v)\n", lines.Text(), err)
			continue
		}
		if a.Event != "" {
			ready <- a
			continue
		}
		p.mu.Lock()
		waiting := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if waiting != nil {
			waiting <- a
		}
	}
	_ = p.cmd.Wait() // however it ended, it has
	close(p.ended)
}

// call runs one command of the peer.
func (p *foreignPeer) call(ctx context.Context, cmd string, args, result any) error {
	waiting := make(chan foreignAnswer, 1)
	p.mu.Lock()
	p.next++
	id := p.next
	p.waiting[id] = waiting
	line, err := json.Marshal(map[string]any{"id": id, "cmd": cmd, "args": args, "timeout": opTimeout.Milliseconds()})
	if err == nil {
		_, err = p.stdin.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s %s: %w", p.of.name, cmd, err)
	}
	select {
	case a := <-waiting:
		if a.Error != "" {
			return fmt.Errorf("%s %s: %s", p.of.name, cmd, a.Error)
		}
		return json.Unmarshal(a.Result, result)
	case <-p.ended:
		return fmt.Errorf("%s %s: the peer has ended", p.of.name, cmd)
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", p.of.name, cmd, ctx.Err())
	}
}

// die ends the process at once, as a crash would.
func (p *foreignPeer) die() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// end lets the peer stop in order, for a while, and shows its log when the test failed.
func (p *foreignPeer) end(t *testing.T) {
	_ = p.stdin.Close() // the peer ends with its input
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.die()
	}
	if t.Failed() && p.log.text() != "" {
		t.Logf("stderr of %s peer %s:\n%s", p.of.name, p.id, p.log.text())
	}
}

type foreignInfo struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

func (i foreignInfo) decode() (peer.AddrInfo, error) {
	id, err := peer.Decode(i.Peer)
	info := peer.AddrInfo{ID: id}
	for _, text := range i.Addrs {
		a, aerr := multiaddr.NewMultiaddr(text)
		if aerr != nil {
			return info, aerr
		}
		a, last := peer.SplitAddr(a)
		if last != "" && last != id {
			return info, fmt.Errorf("%s told with the address %s", id, text)
		}
		info.Addrs = append(info.Addrs, a)
	}
	return info, err
}

func decodeIDs(texts []string) ([]peer.ID, error) {
	ids := make([]peer.ID, len(texts))
	for i, text := range texts {
		id, err := peer.Decode(text)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

func (p *foreignPeer) stack() string       { return p.of.name }
func (p *foreignPeer) info() peer.AddrInfo { return peer.AddrInfo{ID: p.id, Addrs: p.addrs} }

func (p *foreignPeer) connect(ctx context.Context, to peer.AddrInfo) error {
	addr := to.Addrs[0].Encapsulate(multiaddr.StringCast("/p2p/" + to.ID.String()))
	return p.call(ctx, "connect", map[string]any{"addr": addr.String()}, &struct{}{})
}

func (p *foreignPeer) tableSize(ctx context.Context) (int, error) {
	var r struct{ Size int }
	err := p.call(ctx, "peers", nil, &r)
	return r.Size, err
}

func (p *foreignPeer) refresh(ctx context.Context) { _ = p.call(ctx, "refresh", nil, &struct{}{}) }

// about tells what is known of the peer, for a failure's message.
func (p *foreignPeer) about(ctx context.Context) string {
	var r struct{ Over []string }
	err := p.call(ctx, "connections", nil, &r)
	return fmt.Sprintf("%d connections (%v)", len(r.Over), err)
}

func (p *foreignPeer) findPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	var r foreignInfo
	if err := p.call(ctx, "findPeer", map[string]any{"peer": id.String()}, &r); err != nil {
		return peer.AddrInfo{}, err
	}
	return r.decode()
}

func (p *foreignPeer) put(ctx context.Context, key string, value []byte) ([]peer.ID, error) {
	var r struct{ Holders []string }
	if err := p.call(ctx, "put", map[string]any{"key": []byte(key), "value": value}, &r); err != nil {
		return nil, err
	}
	return decodeIDs(r.Holders)
}

func (p *foreignPeer) get(ctx context.Context, key string) ([]byte, []peer.ID, error) {
	var r struct {
		Value []byte
		From  []string
	}
	if err := p.call(ctx, "get", map[string]any{"key": []byte(key)}, &r); err != nil {
		return nil, nil, err
	}
	from, err := decodeIDs(r.From)
	return r.Value, from, err
}

func (p *foreignPeer) remove(ctx context.Context, key string) error {
	return p.call(ctx, "remove", map[string]any{"key": []byte(key)}, &struct{}{})
}

// ofContent are the arguments that name content: each stack takes it in one of two forms.
func ofContent(c cid.Cid) map[string]any {
	return map[string]any{"cid": c.String(), "key": []byte(c.Hash())}
}

func (p *foreignPeer) provide(ctx context.Context, c cid.Cid) error {
	var r struct{ Holders []string }
	if err := p.call(ctx, "provide", ofContent(c), &r); err != nil {
		return err
	}
	if r.Holders != nil && len(r.Holders) == 0 { // a stack that does not tell leaves them out
		return fmt.Errorf("%s provide: nobody took the announcement", p.of.name)
	}
	return nil
}

func (p *foreignPeer) stopProviding(ctx context.Context, c cid.Cid) error {
	return p.call(ctx, "stopProviding", ofContent(c), &struct{}{})
}

func (p *foreignPeer) findProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error) {
	var r struct{ Providers []foreignInfo }
	if err := p.call(ctx, "findProviders", ofContent(c), &r); err != nil {
		return nil, err
	}
	var infos []peer.AddrInfo
	for _, i := range r.Providers {
		info, err := i.decode()
		if err == nil && len(info.Addrs) == 0 { // a stack that tells the providers' ids only
			info, err = p.findPeer(ctx, info.ID)
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (p *foreignPeer) closest(ctx context.Context, key string) ([]peer.ID, error) {
	var r struct{ Peers []string }
	if err := p.call(ctx, "closest", map[string]any{"key": []byte(key)}, &r); err != nil {
		return nil, err
	}
	return decodeIDs(r.Peers)
}

// lockedBuffer is a bytes.Buffer for one writer and other readers.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
