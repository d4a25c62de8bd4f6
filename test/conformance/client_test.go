package conformance

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	ours "github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// scripted is a server that does what the present step says. Arrivals of
// anything but the step's request are answered as a lonely deployed peer would.
type scripted struct {
	mu       sync.Mutex
	step     *clientStep
	arrivals int // of the step's request
	streams  int // opened by the client, of all steps
	problem  error
}

// begin makes s the present step.
func (p *scripted) begin(s *clientStep) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.arrivals = s, 0
}

// seen are the arrivals of the present step's request so far.
func (p *scripted) seen() (arrivals int, problem error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrivals, p.problem
}

// serve handles one inbound stream.
func (p *scripted) serve(s network.Stream) {
	p.mu.Lock()
	p.streams++
	p.mu.Unlock()
	r := bufio.NewReader(s)
	for {
		f, err := readFrame(r)
		if err != nil {
			_ = s.Close() // as deployed servers do when a client has closed its side
			return
		}
		a := p.arrival(f)
		for _, out := range a.FramesOut {
			(&talk{stream: s}).write(out, a.ChunkBytes)
		}
		switch a.Then {
		case reset:
			_ = s.Reset()
			return
		case "close":
			_ = s.Close()
			return
		}
	}
}

// arrival is what to do about a request that has arrived.
func (p *scripted) arrival(f frame) arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, err := parseMessage(bodyOf(f))
	if err != nil {
		p.problem = fmt.Errorf("the client sent no message: %w: %s", err, abbreviate(f))
		return arrival{Then: reset}
	}
	if p.step == nil || typeNames[m.typ] != p.step.Request.Type || hex.EncodeToString(m.key) != p.step.Request.KeyHex {
		answer, ok := (&members{}).answer(m, nil)
		if !ok {
			return arrival{}
		}
		return arrival{FramesOut: []frame{framed(answer)}}
	}
	p.problem = first(p.problem, asDeployed(m))
	p.arrivals++
	if p.arrivals > len(p.step.Server) {
		p.problem = fmt.Errorf("the request arrived %d times, the script ends after %d", p.arrivals, len(p.step.Server))
		return arrival{Then: reset}
	}
	return p.step.Server[p.arrivals-1]
}

// asDeployed checks what every deployed client's request has (wire.md §3).
func asDeployed(m message) error {
	switch {
	case m.level != 1:
		return fmt.Errorf("the request's cluster level is %d, go's is 1", m.level)
	case len(m.closer) > 0 || len(m.unknown) > 0:
		return errors.New("the request carries closer peers or unknown fields")
	case typeNames[m.typ] == "ADD_PROVIDER" && len(m.providers) != 1:
		return fmt.Errorf("ADD_PROVIDER announces %d peers, not one", len(m.providers))
	case typeNames[m.typ] == "PUT_VALUE" && (m.record == nil || !bytes.Equal(m.record.key, m.key)):
		return errors.New("PUT_VALUE carries no record under its own key")
	}
	return nil
}

// onFreshStream are the entries that kdht does not meet when their first
// request goes over a fresh stream: wire.md §22.6 has only a reused stream,
// which may have been idle for too long, tried again. On a reused stream they
// hold as they stand.
var onFreshStream = map[string]string{
	"reset-then-value": "§22.6",
	"close-then-value": "§22.6",
}

// TestClientExchanges plays every entry of client_exchanges.json over every
// transport: once as it stands, where the first request opens a stream, and
// once after a PING, so that the first request goes over a reused one.
func TestClientExchanges(t *testing.T) {
	t.Parallel()
	cases := loadClientCases(t)
	for name, paragraph := range onFreshStream {
		if !slices.ContainsFunc(cases, func(c clientCase) bool { return c.Name == name }) {
			t.Errorf("%s deviates by wire.md %s, but there is no such entry", name, paragraph)
		}
	}
	for _, transport := range transports {
		for _, reused := range []bool{false, true} {
			for i := range cases {
				c := &cases[i]
				kind := map[bool]string{false: "fresh", true: "reused"}[reused]
				t.Run(strings.Join([]string{transport, kind, c.Name}, "/"), func(t *testing.T) {
					t.Parallel()
					c.run(t, transport, reused, private)
				})
			}
		}
	}
}

// playing bounds how many cases run at once; one that waits for silence takes
// ten seconds, so it does not count.
var playing = make(chan struct{}, 8)

func (c *clientCase) run(t *testing.T, transport string, reused bool, in overlay) {
	if !strings.HasPrefix(c.Name, "silence") {
		playing <- struct{}{}
		defer func() { <-playing }()
	}
	script := new(scripted)
	server, err := newHost(transport, freshKey(t), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	server.SetStreamHandler(in.protocol, script.serve)
	client := newClient(t, transport, server, in)
	if reused {
		ping := clientStep{Server: []arrival{{FramesOut: []frame{{4, 8, 5, 0x50, 1}}}}, Expect: clientResult{Pong: true}}
		ping.Request.Type = "PING"
		ping.play(t, client, server.ID(), script, "")
	}
	for i := range c.Steps {
		paragraph := ""
		if i == 0 && !reused {
			paragraph = onFreshStream[c.Name]
		}
		c.Steps[i].play(t, client, server.ID(), script, paragraph)
	}
	if c.Name == "reuse-after-answers" && script.opened() != 1 {
		t.Errorf("%d streams were opened for %d answered requests, want 1", script.opened(), len(c.Steps))
	}
}

// opened is how many streams the client has opened.
func (p *scripted) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams
}

// play makes the step's request and judges what the client reports.
func (s *clientStep) play(t *testing.T, client clientPeer, to peer.ID, script *scripted, deviation string) {
	t.Helper()
	script.begin(s)
	req, err := s.request()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	answer, err := client.ask(t.Context(), to, req)
	took := time.Since(start)
	arrivals, problem := script.seen()
	if problem != nil {
		t.Errorf("%s: %v", s.Request.Type, problem)
	}
	if deviation != "" {
		if !errors.Is(err, ours.ErrRefused) || arrivals != 1 {
			t.Errorf("%s on a fresh stream that ends: %v after %d arrivals, wire.md %s wants ErrRefused after one", s.Request.Type, err, arrivals, deviation)
		}
		return
	}
	if arrivals < 1 || arrivals > 2 {
		t.Errorf("%s arrived %d times", s.Request.Type, arrivals)
	}
	if err := s.Expect.judge(answer, err, took); err != nil {
		t.Errorf("%s: %v", s.Request.Type, err)
	}
}

// request is the message the client is told to send.
func (s *clientStep) request() (*ours.Message, error) {
	key, err := hex.DecodeString(s.Request.KeyHex)
	if err != nil {
		return nil, err
	}
	value, err := hex.DecodeString(s.Request.RecordValueHex)
	if err != nil {
		return nil, err
	}
	m := &ours.Message{Key: key, ClusterLevel: 1}
	for t := range ours.Type(ours.NumTypes) {
		if t.String() == s.Request.Type {
			m.Type = t
		}
	}
	if m.Type.String() != s.Request.Type {
		return nil, fmt.Errorf("no request type %q", s.Request.Type)
	}
	if m.Type == ours.PutValue {
		m.Record, m.HasRecord = ours.Record{Key: key, Value: value}, true
	}
	return m, nil
}

// errorMeans says which of our errors the vectors' reason is.
var errorMeans = map[string]error{
	"record key": ours.ErrMalformed, "answer type": ours.ErrMalformed, "decode": ours.ErrMalformed,
	"frame": ours.ErrMalformed, "value": ours.ErrMalformed,
	"stream": ours.ErrRefused, "timeout": ours.ErrTimeout,
}

// judge compares what the client reported with what a good one does.
func (r *clientResult) judge(answer *ours.Message, err error, took time.Duration) error {
	if r.Error != "" {
		want := errorMeans[r.Error]
		if want == nil {
			return fmt.Errorf("BUG: vectors want error %q", r.Error)
		}
		if !errors.Is(err, want) {
			return fmt.Errorf("reported %v, want %v (%s)", err, want, r.Error)
		}
		if want == ours.ErrTimeout && (took < 9*time.Second || took > 15*time.Second) {
			return fmt.Errorf("gave up after %v, want 10 s (wire.md §5)", took)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("reported %w", err)
	}
	switch {
	case r.hasRecord:
		return r.judgeRecord(answer)
	case r.Pong:
		return equal("type of the answer", answer.Type, ours.Ping)
	case r.hasCloser:
		return errors.Join(samePeers("closer peers", answer.CloserPeers, r.CloserPeers), samePeers("providers", answer.ProviderPeers, r.ProviderPeers))
	}
	return nil // stored or sent: no error is all there is to it
}

func (r *clientResult) judgeRecord(answer *ours.Message) error {
	value, ok, err := r.value()
	if err != nil {
		return err
	}
	if answer.HasRecord != ok || ok && !bytes.Equal(answer.Record.Value, value) {
		return fmt.Errorf("reported record %v %q, want %v %q", answer.HasRecord, answer.Record.Value, ok, value)
	}
	return nil
}

// samePeers compares the peers of an answer, as our lookups take them: with
// ids that parse, each under the addresses a contact of it gets.
func samePeers(what string, got []ours.Peer, want []shapePeer) error {
	var lines, wanted []string
	for i := range got {
		id, err := got[i].PeerID()
		if err != nil {
			continue
		}
		lines = append(lines, id.String()+" "+fmt.Sprint(addrTexts(kademlia.NewContact(id, got[i].Addrs).Peer.Addrs)))
	}
	for _, p := range want {
		wanted = append(wanted, p.ID+" "+fmt.Sprint(p.Addrs))
	}
	if !slices.Equal(lines, wanted) {
		return fmt.Errorf("%s are %v, want %v", what, lines, wanted)
	}
	return nil
}

func addrTexts(raw [][]byte) []string {
	all := []string{}
	for _, b := range raw {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, a.String())
	}
	return all
}
