package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// jsPeer is a js-libp2p peer in a process of its own, see js/peer.mjs. Its methods may be called from many goroutines.
type jsPeer struct {
	id    peer.ID
	addrs []multiaddr.Multiaddr
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the process has ended
	log   lockedBuffer  // its stderr

	mu      sync.Mutex
	next    int
	waiting map[int]chan jsAnswer
}

type jsAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	// Of the first line only.
	Event string   `json:"event"`
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

// startJS starts a js-libp2p peer that listens on the given addresses, and ends it with the test.
func startJS(t *testing.T, script string, listen ...string) *jsPeer {
	t.Helper()
	config, err := json.Marshal(map[string]any{"protocol": protocolID, "listen": listen})
	if err != nil {
		t.Fatal(err)
	}
	p := &jsPeer{cmd: exec.Command("node", script, string(config)), ended: make(chan struct{}), waiting: map[int]chan jsAnswer{}}
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
		t.Fatalf("starting a js-libp2p peer: %v", err)
	}
	ready := make(chan jsAnswer, 1)
	go p.read(stdout, ready)
	t.Cleanup(func() { p.end(t) })
	select {
	case first := <-ready:
		p.introduce(t, first)
	case <-p.ended:
		t.Fatalf("a js-libp2p peer ended at its start:\n%s", p.log.text())
	case <-time.After(30 * time.Second):
		t.Fatalf("a js-libp2p peer did not get ready within 30 s:\n%s", p.log.text())
	}
	return p
}

func (p *jsPeer) introduce(t *testing.T, first jsAnswer) {
	t.Helper()
	id, err := peer.Decode(first.Peer)
	if err != nil || first.Event != "ready" {
		t.Fatalf("a js-libp2p peer began with %+v (%v)", first, err)
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
func (p *jsPeer) read(stdout io.Reader, ready chan<- jsAnswer) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a jsAnswer
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
func (p *jsPeer) call(ctx context.Context, cmd string, args, result any) error {
	waiting := make(chan jsAnswer, 1)
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
		return fmt.Errorf("js %s: %w", cmd, err)
	}
	select {
	case a := <-waiting:
		if a.Error != "" {
			return fmt.Errorf("js %s: %s", cmd, a.Error)
		}
		return json.Unmarshal(a.Result, result)
	case <-p.ended:
		return fmt.Errorf("js %s: the peer has ended", cmd)
	case <-ctx.Done():
		return fmt.Errorf("js %s: %w", cmd, ctx.Err())
	}
}

// die ends the process at once, as a crash would.
func (p *jsPeer) die() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// end lets the peer stop in order, for a while, and shows its log when the test failed.
func (p *jsPeer) end(t *testing.T) {
	_ = p.stdin.Close() // the peer ends with its input
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.die()
	}
	if t.Failed() && p.log.text() != "" {
		t.Logf("stderr of js peer %s:\n%s", p.id, p.log.text())
	}
}

type jsPeerInfo struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"`
}

func (i jsPeerInfo) decode() (peer.AddrInfo, error) {
	id, err := peer.Decode(i.Peer)
	info := peer.AddrInfo{ID: id}
	for _, text := range i.Addrs {
		a, aerr := multiaddr.NewMultiaddr(text)
		info.Addrs, err = append(info.Addrs, a), errors.Join(err, aerr)
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

func (p *jsPeer) stack() string       { return "js" }
func (p *jsPeer) info() peer.AddrInfo { return peer.AddrInfo{ID: p.id, Addrs: p.addrs} }

func (p *jsPeer) connect(ctx context.Context, to peer.AddrInfo) error {
	addr := to.Addrs[0].Encapsulate(multiaddr.StringCast("/p2p/" + to.ID.String()))
	return p.call(ctx, "connect", map[string]any{"addr": addr.String()}, &struct{}{})
}

func (p *jsPeer) tableSize(ctx context.Context) (int, error) {
	var r struct{ Size int }
	err := p.call(ctx, "peers", nil, &r)
	return r.Size, err
}

func (p *jsPeer) refresh(ctx context.Context) { _ = p.call(ctx, "refresh", nil, &struct{}{}) }

// about tells what is known of the peer, for a failure's message.
func (p *jsPeer) about(ctx context.Context) string {
	var r struct{ Over []string }
	err := p.call(ctx, "connections", nil, &r)
	return fmt.Sprintf("%d connections (%v)", len(r.Over), err)
}

func (p *jsPeer) findPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	var r jsPeerInfo
	if err := p.call(ctx, "findPeer", map[string]any{"peer": id.String()}, &r); err != nil {
		return peer.AddrInfo{}, err
	}
	return r.decode()
}

func (p *jsPeer) put(ctx context.Context, key string, value []byte) ([]peer.ID, error) {
	var r struct{ Holders []string }
	if err := p.call(ctx, "put", map[string]any{"key": []byte(key), "value": value}, &r); err != nil {
		return nil, err
	}
	return decodeIDs(r.Holders)
}

func (p *jsPeer) get(ctx context.Context, key string) ([]byte, []peer.ID, error) {
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

func (p *jsPeer) provide(ctx context.Context, c cid.Cid) error {
	var r struct{ Holders []string }
	if err := p.call(ctx, "provide", map[string]any{"cid": c.String()}, &r); err != nil {
		return err
	}
	if len(r.Holders) == 0 {
		return errors.New("js provide: nobody took the announcement")
	}
	return nil
}

func (p *jsPeer) findProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error) {
	var r struct{ Providers []jsPeerInfo }
	if err := p.call(ctx, "findProviders", map[string]any{"cid": c.String()}, &r); err != nil {
		return nil, err
	}
	var infos []peer.AddrInfo
	for _, i := range r.Providers {
		info, err := i.decode()
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (p *jsPeer) closest(ctx context.Context, key string) ([]peer.ID, error) {
	var r struct{ Peers []string }
	if err := p.call(ctx, "closest", map[string]any{"key": []byte(key)}, &r); err != nil {
		return nil, err
	}
	return decodeIDs(r.Peers)
}

// installJS installs what js/package-lock.json names into the user's cache, once per lock file, and returns the path of a copy of
// peer.mjs that finds it. Nothing is installed into the tree.
func installJS(t *testing.T) (script string) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the live peers need %s: install Node.js 20 or newer, or run without KDHT_INTEROP=1 (%v)", tool, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // no home folder
	}
	dir := filepath.Join(cache, "kdht-interop", fingerprint(t, "package-lock.json", "package.json"))
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		npmInstall(t, dir)
	}
	scripts := filepath.Join(dir, fingerprint(t, "peer.mjs", "polyfill.mjs"))
	copyFiles(t, scripts, "peer.mjs", "polyfill.mjs")
	return filepath.Join(scripts, "peer.mjs")
}

// npmInstall installs next to dir and moves the result there, so that dir is whole or absent.
func npmInstall(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	copyFiles(t, fresh, "package.json", "package-lock.json", ".npmrc")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts")
	cmd.Dir, cmd.WaitDelay = fresh, 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci for the js-libp2p peers: %v\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, raced := os.Stat(filepath.Join(dir, "node_modules")); raced != nil {
			t.Fatal(err)
		}
	}
}

func fingerprint(t *testing.T, names ...string) string {
	t.Helper()
	hash := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("js", name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(text), text)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}

func copyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("js", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
