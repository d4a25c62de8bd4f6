package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/multiformats/go-multiaddr"

	"github.com/kdht/kdht/protocol"
)

// exchangeCase is an entry of client_exchanges.json (see the README next to it).
type exchangeCase struct {
	Name  string
	Steps []exchangeStep
}

type exchangeStep struct {
	Request struct{ Type, KeyHex, RecordValueHex string }
	Server  []struct {
		FramesOut []string `json:"frames_out_hex"`
		Then      string
	}
	Expect map[string]json.RawMessage
}

// onFreshStream lists the steps that end otherwise where kdht differs on purpose
// (wire.md §22.6): a fresh stream that ends unanswered is not tried again.
var onFreshStream = map[string]error{
	"reset-then-value": protocol.ErrRefused,
	"close-then-value": protocol.ErrRefused,
}

// errorClass says which outcome the reason in an entry's expected error means.
var errorClass = map[string]error{
	"record key": protocol.ErrMalformed, "answer type": protocol.ErrMalformed, "decode": protocol.ErrMalformed,
	"frame": protocol.ErrMalformed, "value": protocol.ErrMalformed,
	"stream": protocol.ErrRefused, "timeout": protocol.ErrTimeout,
}

func TestClientExchanges(t *testing.T) {
	raw, err := os.ReadFile("../testdata/client_exchanges.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []exchangeCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 37 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, used := range []bool{false, true} {
		for _, c := range cases {
			t.Run(map[bool]string{false: "fresh/", true: "reused/"}[used]+c.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { c.run(t, used) })
			})
		}
	}
}

func (c *exchangeCase) run(t *testing.T, used bool) {
	step, arrival := 0, 0
	peers := &fakePeers{
		used: used,
		request: func(s *fakeStream, frame []byte) {
			if arrival >= len(c.Steps[step].Server) {
				t.Errorf("step %d: request number %d has no script", step, arrival+1)
				return
			}
			script := c.Steps[step].Server[arrival]
			arrival++
			for _, f := range script.FramesOut {
				s.send(unhex(t, f)...)
			}
			switch script.Then {
			case "reset":
				s.finish(errRemoteReset)
			case "close":
				s.finish(io.EOF)
			}
		},
		closed: func(s *fakeStream) { s.finish(io.EOF) }, // as servers do (wire.md §2)
	}
	client := NewClient(protocol.Protobuf, peers, ClientConfig{})
	for i := range c.Steps {
		step, arrival = i, 0
		c.Steps[i].run(t, client, !used && i == 0, c.Name)
	}
	if _, live, _, _, _ := peers.counts(); live != 0 {
		t.Errorf("%d streams neither released nor reset", live)
	}
}

func (s *exchangeStep) run(t *testing.T, client *Client, fresh bool, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, resp := s.message(t), new(protocol.Message)
	var err error
	if req.Type == protocol.AddProvider {
		err = client.Send(ctx, "a server", req)
	} else {
		err = client.RoundTrip(ctx, "a server", req, resp)
	}
	if other := onFreshStream[name]; other != nil && fresh {
		if !errors.Is(err, other) {
			t.Errorf("got %v, want %v", err, other)
		}
		return
	}
	if reason, ok := s.Expect["error"]; ok {
		var text string
		if err2 := json.Unmarshal(reason, &text); err2 != nil || errorClass[text] == nil {
			t.Fatalf("entry expects an unknown error %s", reason)
		}
		if !errors.Is(err, errorClass[text]) {
			t.Errorf("got %v, want %v (%s)", err, errorClass[text], text)
		}
		return
	}
	if err != nil {
		t.Fatalf("got %v, want success", err)
	}
	for what, want := range s.Expect {
		s.check(t, what, want, req, resp)
	}
}

func (s *exchangeStep) message(t *testing.T) *protocol.Message {
	types := map[string]protocol.Type{}
	for i := range protocol.Type(protocol.NumTypes) {
		types[i.String()] = i
	}
	typ, ok := types[s.Request.Type]
	if !ok {
		t.Fatalf("unknown type %q", s.Request.Type)
	}
	m := &protocol.Message{Type: typ, Key: unhex(t, s.Request.KeyHex), ClusterLevel: 1}
	if typ == protocol.PutValue {
		m.HasRecord = true
		m.Record = protocol.Record{Key: m.Key, Value: unhex(t, s.Request.RecordValueHex)}
	}
	return m
}

func (s *exchangeStep) check(t *testing.T, what string, want json.RawMessage, req, resp *protocol.Message) {
	var got any
	switch what {
	case "recordValueHex":
		if resp.HasRecord {
			got = hex.EncodeToString(resp.Record.Value)
		}
	case "stored", "sent":
		got = true
	case "pong":
		got = resp.Type == protocol.Ping
	case "closerPeers":
		got = peersOf(resp.CloserPeers)
	case "providerPeers":
		got = peersOf(resp.ProviderPeers)
	default:
		t.Fatalf("entry expects an unknown %q", what)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(text, &a) != nil || json.Unmarshal(want, &b) != nil || !cmp.Equal(a, b) {
		t.Errorf("%s: got %s, want %s", what, text, want)
	}
	if req.Type == protocol.PutValue && !bytes.Equal(resp.Record.Value, req.Record.Value) {
		t.Errorf("acknowledged %x, sent %x", resp.Record.Value, req.Record.Value)
	}
}

// peersOf reads an answer's peers as whoever uses the client does: entries whose
// id does not parse are left out, and so are addresses that do not, or that end in
// another peer's id.
func peersOf(list []protocol.Peer) []any {
	out := []any{}
	for i := range list {
		id, err := list[i].PeerID()
		if err != nil {
			continue
		}
		addrs := []any{}
		for _, a := range list[i].Addrs {
			if a, ok := protocol.SplitP2P(a, list[i].ID); ok {
				if m, err := multiaddr.NewMultiaddrBytes(a); err == nil {
					addrs = append(addrs, m.String())
				}
			}
		}
		out = append(out, map[string]any{"id": id.String(), "addrs": addrs})
	}
	return out
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
