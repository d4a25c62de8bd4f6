package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"
)

const rpcLong = `Send one request to one peer, and print its answer as it is: nothing is looked up, nobody
else is asked, and the peer hears of no node.

  ping MULTIADDR                      is it there
  find-node MULTIADDR KEY             whom it knows near a key, CID or peer id
  get-value MULTIADDR KEY             the value that it keeps, and whom it knows
  get-providers MULTIADDR CID         who has told it of having some content
  put-value MULTIADDR KEY FILE | -    have it keep a value
  add-provider MULTIADDR CID          tell it that this command has some content

With --codec json the request goes to the JSON protocol of a private network, and --hex
prints the frames, without the length that goes before each.`

const rpcExample = `  kdht rpc ping /ip4/192.0.2.7/tcp/5348/p2p/12D3KooW…
  kdht rpc find-node /ip4/192.0.2.7/tcp/5348/p2p/12D3KooW… hello --codec json --hex
  kdht rpc FIND_NODE /dnsaddr/example.org/p2p/12D3KooW… 12D3KooX… --network amino`

// rpcFlags are rpc's own.
type rpcFlags struct {
	codec string
	hex   bool
}

func (a *app) rpc() *cobra.Command {
	f := &rpcFlags{}
	cmd := &cobra.Command{
		Use:       "rpc TYPE MULTIADDR [KEY [FILE]]",
		Short:     "Send one request to one peer",
		Long:      rpcLong,
		Example:   rpcExample,
		GroupID:   groupUse,
		Args:      args(2, 4, "a TYPE, a MULTIADDR, and what the TYPE needs"),
		ValidArgs: []string{"ping", "find-node", "get-value", "get-providers", "put-value", "add-provider"},
	}
	a.networkFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.codec, "codec", "protobuf", "format of the messages: protobuf or json")
	flags.BoolVar(&f.hex, "hex", false, "print the frames in hexadecimal")
	flags.DurationVar(&a.session.timeout, "timeout", 10*time.Second, "how long it may take, the dial included")
	_ = cmd.RegisterFlagCompletionFunc("codec", cobra.FixedCompletions([]string{"protobuf", "json"}, cobra.ShellCompDirectiveNoFileComp))
	fromEnv(flags, "timeout", "KDHT_TIMEOUT")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := input.Peer(args[1])
		if err != nil {
			return err
		}
		if len(to.Addrs) == 0 {
			return control.Errorf(control.Usage, "%.80q says not where the peer is: give a multiaddr that ends in /p2p/ and its id", args[1])
		}
		req, err := a.request(args)
		if err != nil {
			return err
		}
		return a.runRPC(cmd.Context(), f, to, req)
	}
	return cmd
}

// request reads what to ask.
func (a *app) request(args []string) (*protocol.Message, error) {
	name := strings.ToUpper(strings.ReplaceAll(args[0], "-", "_"))
	req, known := &protocol.Message{ClusterLevel: 1}, false
	for t := range protocol.Type(protocol.NumTypes) {
		if t.String() == name {
			req.Type, known = t, true
		}
	}
	if !known {
		return nil, control.Errorf(control.Usage, "there is no request %.40q: use ping, find-node, get-value, get-providers, put-value or add-provider", args[0])
	}
	if want := map[protocol.Type]int{protocol.Ping: 2, protocol.PutValue: 4}[req.Type]; want != len(args) && (want != 0 || len(args) != 3) {
		return nil, control.Errorf(control.Usage, "%s takes other arguments: see `kdht rpc --help`", args[0])
	}
	var err error
	switch req.Type {
	case protocol.Ping:
		return req, nil
	case protocol.GetProviders, protocol.AddProvider:
		c, err := input.Content(args[2], a.stdin)
		if err != nil {
			return nil, err
		}
		req.Key = c.Hash()
		return req, nil
	case protocol.FindNode:
		req.Key, err = input.Target(args[2])
		return req, err
	}
	if req.Key, err = input.Key(args[2]); err != nil || req.Type != protocol.PutValue {
		return req, err
	}
	req.Record.Key, req.HasRecord = req.Key, true
	req.Record.Value, err = input.Value(args[3], a.stdin)
	return req, err
}

// runRPC is rpc.
func (a *app) runRPC(ctx context.Context, f *rpcFlags, to peer.AddrInfo, req *protocol.Message) error {
	cfg := live.Config{}
	if err := a.inNetwork(&cfg); err != nil {
		return err
	}
	if a.session.timeout <= 0 {
		return control.Errorf(control.Usage, "--timeout %v leaves no time: write it like 10s", a.session.timeout)
	}
	if err := input.Inside(cfg.Profile, []peer.AddrInfo{to}); err != nil && cfg.Network != live.Dual {
		return control.Errorf(control.Usage, "the address is outside a %s network: give another, or the --profile that the network has", cfg.Profile)
	}
	tap := &tap{Codec: protocol.Protobuf}
	switch {
	case f.codec == "json" && cfg.Network.IPFS():
		return control.Errorf(control.Usage, "--codec json: the networks of IPFS nodes have no JSON protocol: leave it out")
	case f.codec == "json":
		tap.Codec = protocol.JSON
	case f.codec != "protobuf":
		return control.Errorf(control.Usage, "there is no codec %.20q: use protobuf or json", f.codec)
	}
	o, err := live.Approach(cfg, tap)
	if err != nil {
		return err
	}
	defer a.end(o)
	if req.Type == protocol.AddProvider {
		req.ProviderPeers = append(req.ProviderPeers, protocol.Peer{ID: []byte(o.ID())})
	}
	within, cancel := context.WithTimeout(ctx, a.session.timeout)
	defer cancel()
	began := time.Now()
	resp, err := o.Ask(within, to, req)
	took := time.Since(began)
	if f.hex && !a.json {
		fmt.Fprintf(a.stdout, "sent      %s\nreceived  %s\n", hexText(tap.sent), hexText(tap.received))
	}
	if err != nil {
		return control.AsError(err)
	}
	return a.answered(f, tap, resp, took)
}

// answered writes an answer.
func (a *app) answered(f *rpcFlags, t *tap, resp *protocol.Message, took time.Duration) error {
	if a.json {
		text, err := protocol.JSON.Append(nil, resp)
		if err != nil {
			return control.AsError(err)
		}
		out := struct {
			Answer   rawJSON `json:"answer"`
			Millis   float64 `json:"rtt_ms"`
			Sent     string  `json:"sent,omitempty"`
			Received string  `json:"received,omitempty"`
		}{text, control.Millis(took), "", ""}
		if f.hex {
			out.Sent, out.Received = hex.EncodeToString(t.sent), hex.EncodeToString(t.received)
		}
		return a.written(writeJSON(a.stdout, out))
	}
	a.note("answered in %s", millis(control.Millis(took)))
	return a.result(nil, func(w io.Writer) { writeAnswer(w, resp) })
}

// rawJSON is JSON already.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func writeAnswer(w io.Writer, m *protocol.Message) {
	fmt.Fprintf(w, "type      %s\n", m.Type)
	if m.HasRecord {
		what := fmt.Sprintf("%d bytes, in hexadecimal %s", len(m.Record.Value), hexText(m.Record.Value))
		if utf8.Valid(m.Record.Value) && len(m.Record.Value) <= maxHex {
			what = control.Clean(string(m.Record.Value))
		}
		fmt.Fprintf(w, "value     %s\n", what)
	}
	for _, list := range []struct {
		name  string
		peers []protocol.Peer
	}{{"provider", m.ProviderPeers}, {"closer", m.CloserPeers}} {
		for i := range list.peers {
			fmt.Fprintf(w, "%-8s  %s\n", list.name, peerText(&list.peers[i]))
		}
	}
}

// peerText writes a peer as it was sent: what is no id or no address in hexadecimal.
func peerText(p *protocol.Peer) string {
	text := "hexadecimal " + hexText(p.ID)
	if id, err := p.PeerID(); err == nil {
		text = id.String()
	}
	for _, raw := range p.Addrs {
		addr := "hexadecimal " + hexText(raw)
		if a, err := multiaddr.NewMultiaddrBytes(raw); err == nil {
			addr = control.Clean(a.String())
		}
		text += " " + addr
	}
	return text + " " + p.Connection.String()
}

// maxHex bounds what is shown of bytes.
const maxHex = 2048

func hexText(b []byte) string {
	if len(b) > maxHex {
		return fmt.Sprintf("%s… (%d bytes)", hex.EncodeToString(b[:maxHex]), len(b))
	}
	if len(b) == 0 {
		return "nothing"
	}
	return hex.EncodeToString(b)
}

// tap is a codec that keeps the last frame of each direction; it serves one request.
type tap struct {
	protocol.Codec
	sent, received []byte
}

// Append implements protocol.Codec.
func (t *tap) Append(b []byte, m *protocol.Message) ([]byte, error) {
	out, err := t.Codec.Append(b, m)
	if err == nil {
		t.sent = append([]byte(nil), out[len(b):]...)
	}
	return out, err
}

// Decode implements protocol.Codec.
func (t *tap) Decode(b []byte, m *protocol.Message) error {
	t.received = append([]byte(nil), b...)
	return t.Codec.Decode(b, m)
}
