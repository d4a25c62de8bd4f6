package main

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const crawlLong = `Walk a whole network: ask every peer that can be heard of for all of its routing table,
beginning with the peers of the node that runs here, or with --bootstrap. It is done by a
peer of its own, which nobody hears of.

The end tells how many peers there are, how many answered, what programs they run, and
how large their tables are. With --json each peer is a line as soon as it is done with,
and the last line is the summary; --csv and --picture write files besides. Who could not
be reached at first and is named again with another address has another line later.

A budget that is used up, or Ctrl-C, ends the walk with what there is: "ended" says so.`

// crawlFlags are crawl's own.
type crawlFlags struct {
	cfg          crawl.Config
	csv, picture string
	edges        bool
}

func (a *app) crawl() *cobra.Command {
	f := &crawlFlags{}
	cmd := &cobra.Command{
		Use:               "crawl",
		Short:             "Walk a whole network, table by table",
		Long:              crawlLong,
		Example:           "  kdht crawl\n  kdht crawl --json --edges > peers.ndjson\n  kdht crawl --csv peers.csv --picture network.svg --timeout 2m\n  kdht crawl --bootstrap /ip4/192.0.2.7/tcp/5348/p2p/12D3KooW… --max-peers 5000",
		GroupID:           groupUse,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.whichNode(cmd)
	a.networkFlag(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&a.session.bootstrap, "bootstrap", nil, "begin with the peer at this `multiaddr` (repeatable; default: the node that runs here)")
	flags.DurationVar(&a.session.timeout, "timeout", 10*time.Minute, "how long the walk may take")
	flags.IntVar(&f.cfg.Parallel, "parallel", 64, "how many peers to ask at a time")
	flags.IntVar(&f.cfg.Peers, "max-peers", 50_000, "how many peers to hear of at most")
	flags.IntVar(&f.cfg.Visits, "max-dials", 100_000, "how many times to dial somebody at most")
	flags.IntVar(&f.cfg.Requests, "max-requests", 2_000_000, "how many requests to make at most")
	flags.DurationVar(&f.cfg.Timeout, "request-timeout", 10*time.Second, "how long one request may take, the dial included")
	flags.BoolVar(&f.edges, "edges", false, "with --json, list whom each table holds")
	flags.StringVar(&f.csv, "csv", "", "write a line for each peer to `FILE`")
	flags.StringVar(&f.picture, "picture", "", "draw the network to `FILE`, as SVG")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, n := range []int{f.cfg.Parallel, f.cfg.Peers, f.cfg.Visits, f.cfg.Requests} {
			if n < 1 || n > 100_000_000 {
				return control.Errorf(control.Usage, "a budget of %d: give 1 or more", n)
			}
		}
		if a.session.timeout <= 0 || f.cfg.Timeout <= 0 {
			return control.Errorf(control.Usage, "--timeout and --request-timeout must leave time: write them like 30s")
		}
		return a.runCrawl(cmd.Context(), f)
	}
	return cmd
}

// runCrawl is crawl.
func (a *app) runCrawl(ctx context.Context, f *crawlFlags) error {
	limited, cancel := context.WithTimeout(ctx, a.session.timeout)
	defer cancel()
	cfg := live.Config{}
	if err := a.inNetwork(&cfg); err != nil {
		return err
	}
	seeds, err := a.seeds(limited, &cfg)
	if err != nil {
		return control.AsError(err)
	}
	out, err := a.crawlOutput(f, &cfg)
	if err != nil {
		return err
	}
	defer out.close()
	o, err := live.Approach(cfg, nil)
	if err != nil {
		return err
	}
	defer a.end(o)
	f.cfg.Self, f.cfg.Take, f.cfg.Seed = o.ID(), o.Take(), uint64(time.Now().UnixNano())
	out.agent = o.Agent
	result, err := crawl.Run(limited, o, seeds, f.cfg, out.visit)
	out.end()
	if err != nil {
		return control.AsError(err)
	}
	if err := a.crawled(out, result); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return control.Errorf(control.Interrupted, "interrupted: what is above is what there is so far")
	case result.Answered == 0:
		return control.Errorf(control.NoPeers, "nobody answered (%s): does that node run, and is it of this network?", out.firstFailure)
	}
	return nil
}

// seeds are whom the walk begins with: those given, or the node that runs here and whom it knows.
func (a *app) seeds(ctx context.Context, cfg *live.Config) (seeds []crawl.Peer, err error) {
	if len(a.session.bootstrap) > 0 || a.session.control == "" && a.session.name == "" && len(cfg.Bootstrap) > 0 {
		for _, p := range cfg.Bootstrap {
			seeds = append(seeds, seed(p.ID, p.Addrs))
		}
		return seeds, nil
	}
	n, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	status, err := n.Status(ctx)
	if err != nil {
		return nil, err
	}
	if err := like(status, cfg, &a.session.network); err != nil {
		return nil, err
	}
	table, err := n.Table(ctx)
	if err != nil {
		return nil, err
	}
	known := []control.Peer{status.Peer}
	for _, b := range table.Buckets {
		for _, e := range b.Peers {
			known = append(known, e.Peer)
		}
	}
	for _, p := range known {
		id, err := peer.Decode(p.ID)
		if err != nil {
			continue
		}
		var addrs []multiaddr.Multiaddr
		for _, text := range p.Addrs {
			if addr, err := multiaddr.NewMultiaddr(text); err == nil {
				addrs = append(addrs, addr)
			}
		}
		seeds = append(seeds, seed(id, addrs))
	}
	return seeds, nil
}

func seed(id peer.ID, addrs []multiaddr.Multiaddr) crawl.Peer {
	p := crawl.Peer{ID: id}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, a.Bytes())
	}
	return p
}

// like makes cfg of the network that a node is in.
func like(s *control.Status, cfg *live.Config, flags *networkFlags) (err error) {
	flags.kind, flags.profile = s.Network, s.Profile
	if cfg.Network, err = live.ParseNetwork(s.Network); err != nil {
		return err
	}
	if cfg.Network == live.Private {
		flags.prefix = prefixOf(s.Protocol)
		cfg.Prefix = flags.prefix
	}
	cfg.Profile, err = profile.Parse(s.Profile)
	return err
}

// placeOf returns the first 32 bits of where a peer is in the keyspace.
func placeOf(id peer.ID) uint32 {
	key := keyspace.KeyOfString(string(id))
	return binary.BigEndian.Uint32(key[:])
}

// crawled writes the summary.
func (a *app) crawled(out *crawlOutput, r crawl.Result) error {
	if err := out.files(); err != nil {
		return err
	}
	s := out.summary(r)
	return a.result(s, func(w io.Writer) { s.write(w) })
}

// crawlBar shows people how far a walk has come.
func (a *app) crawlBar() *progressbar.ProgressBar {
	if !a.animated() {
		return nil
	}
	return progressbar.NewOptions64(math.MaxInt32, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetWidth(15),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
}

// create makes a file for a result.
func create(name string) (*os.File, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, control.Errorf(control.Usage, "cannot make the file: %v", err)
	}
	return file, nil
}

// prefixOf is the --protocol-prefix of a private network's protocol.
func prefixOf(protocol string) string {
	const rest = "/kad/1.0.0"
	if len(protocol) > len(rest) {
		return protocol[:len(protocol)-len(rest)]
	}
	return defaultPrefix
}
