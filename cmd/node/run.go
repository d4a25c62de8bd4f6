package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/routing"
	"github.com/spf13/cobra"
)

// defaultPort spells KDHT on a telephone; it is not registered for anything.
const defaultPort = 5348

// closeTimeout is how long a node may take to end (reliability.md P16: two seconds).
const closeTimeout = 1800 * time.Millisecond

const runLong = `Run a node until Ctrl-C, and print how to reach it.

The first node of a network needs nothing; others are given the address of any
node that is in it. Each keeps its key, and so its id, its records and what it
knows of its network in the state directory, and comes back with all of it; a second
one on the same machine takes the name node-2, and so on, unless it is given a --name,
a --data-dir or a --key.

The network is your own, unless --network names one of those that IPFS nodes form:
amino, the public one, lan, that of the nodes around, or dual, both at a time. In a
public network a node serves while it can be reached, and joins through well-known
peers unless --bootstrap says otherwise.

A --profile says what addresses belong to the network: others are neither believed,
told nor dialed, and in a public network no subnet may ask for more than a few peers
may, or have more places in the routing table.`

// runName is what run is called.
const runName = "run"

// runFlags are run's own.
type runFlags struct {
	listen    []string
	limits    []string
	key, mode string
	dataDir   string
	memory    bool
	mdns      bool
	web       webFlags
}

func (a *app) run() *cobra.Command { return a.runWith(&runFlags{}) }

// runWith is run with its own flags in f.
func (a *app) runWith(f *runFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:               runName,
		Short:             "Run a node until Ctrl-C",
		Long:              runLong,
		Example:           "  kdht run\n  kdht run --bootstrap /ip4/192.0.2.7/tcp/5348/p2p/12D3KooW…\n  kdht run --listen /ip4/0.0.0.0/tcp/4001 --protocol-prefix /myapp --mdns\n  kdht run --network dual\n  kdht run --network amino --profile private --bootstrap none   # tried on this machine alone",
		GroupID:           groupNodes,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags, s := cmd.Flags(), &a.session
	flags.StringArrayVar(&f.listen, "listen", nil, fmt.Sprintf("`multiaddr` to listen on (repeatable; default: TCP and QUIC on port %d, or a free one)", defaultPort))
	flags.StringArrayVar(&s.bootstrap, "bootstrap", nil, "`multiaddr` of a node to join through (repeatable); none: nobody")
	flags.StringVar(&f.key, "key", "", "key `FILE`, made if it does not exist (default: in the data directory)")
	flags.StringVar(&f.dataDir, "data-dir", "", "`DIR` for key, records and routing table (default: in the user's state directory)")
	flags.BoolVar(&f.memory, "memory", false, "keep records and routing table in memory: they end with the node")
	flags.StringVar(&f.mode, "mode", "", "server, client, auto or auto-server: whether it serves others (default: server; in amino and dual auto)")
	flags.BoolVar(&f.mdns, "mdns", false, "find nodes of the same network on the local one")
	flags.StringVar(&s.control, "control", "", "control socket to make")
	flags.StringVar(&s.name, "name", "", "name of the node: of its key and control socket")
	flags.StringArrayVar(&f.limits, limitFlag, nil, "bound what is done for others: `NAME=NUMBER` as kdht throttle set has it, such as peer-rate=200 (repeatable)")
	a.networkFlag(cmd)
	a.webFlags(cmd, &f.web)
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions([]string{"server", "client", "auto", "auto-server"}, cobra.ShellCompDirectiveNoFileComp))
	fromEnv(flags, "key", "KDHT_KEY")
	fromEnv(flags, "data-dir", "KDHT_DATA_DIR")
	fromEnv(flags, "control", "KDHT_CONTROL")
	fromEnv(flags, "name", "KDHT_NAME")
	fromEnv(flags, limitFlag, "KDHT_LIMIT")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runNode(cmd, f) }
	return cmd
}

// runNode is run.
func (a *app) runNode(cmd *cobra.Command, f *runFlags) error {
	ctx := cmd.Context()
	hangups, deaf := a.hangups()
	defer deaf()
	cfg, err := a.nodeConfig(f)
	if err != nil {
		return err
	}
	place, err := a.claim(f)
	if err != nil {
		return err
	}
	defer place.Release()
	cfg.Key = place.Key
	web, err := a.listenWeb(&f.web, &place)
	if err != nil {
		return err
	}
	defer web.Close()
	l, err := control.Listen(place.socket)
	if err != nil {
		return err
	}
	if cfg.Stores, err = place.open(cfg.Network); err != nil {
		l.Close()
		return err
	}
	cfg.Trace = web.trace()
	n, err := live.Start(cfg)
	if err != nil {
		l.Close()
		return err
	}
	op := a.operator(cmd, n, f)
	server := control.Serve(l, op)
	defer a.end(web, server, n)
	if err := web.serve(n); err != nil {
		return err
	}
	if err := op.limit(ctx); err != nil {
		return err
	}
	go op.listen(ctx, hangups)
	thrift, spend := context.WithCancel(ctx)
	defer spend()
	go build.Thrifty(thrift)
	if err := a.announce(n, place, web); err != nil {
		return err
	}
	if err := n.Resumed(); err != nil {
		a.note("%v", err)
	}
	if a.session.name == "" && strings.HasPrefix(place.Name, config.FirstName+"-") {
		a.note("another node runs here already, so this one is %q: use it with --name %s", place.Name, place.Name)
	}
	a.tellReady("runs")
	return a.stay(ctx, n)
}

// stay joins the network, and waits until the node is to end.
func (a *app) stay(ctx context.Context, n *live.Node) error {
	joining, stop := context.WithCancel(ctx)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		a.join(joining, n)
	}()
	<-ctx.Done()
	a.tellStopping()
	stop()
	<-joined
	return stopped(ctx)
}

// nodeConfig reads the flags.
func (a *app) nodeConfig(f *runFlags) (cfg live.Config, err error) {
	cfg = live.Config{Listen: f.listen, MDNS: f.mdns}
	if err := a.inNetwork(&cfg); err != nil {
		return cfg, err
	}
	if cfg.Mode, err = mode(f.mode, cfg.Network); err != nil {
		return cfg, err
	}
	if err := input.Listen(f.listen); err != nil {
		return cfg, err
	}
	if len(f.listen) == 0 {
		cfg.Listen, cfg.Fallback = available(build.Listen(defaultPort)), available(build.Listen(0))
	}
	return cfg, nil
}

// mode reads a mode; none stands for that of nodes of this network.
func mode(text string, network live.Network) (routing.Mode, error) {
	switch {
	case text == "" && network.Public():
		return routing.ModeAuto, nil
	case text == "":
		return routing.ModeServer, nil
	}
	for m := routing.ModeServer; m <= routing.ModeAutoServer; m++ {
		if m.String() == text {
			return m, nil
		}
	}
	return 0, control.Errorf(control.Usage, "there is no mode %.20q: use server, client, auto or auto-server", text)
}

// available leaves out IPv6 where the machine has none.
func available(listen []string) []string {
	l, err := net.Listen("tcp6", "[::]:0")
	if err == nil {
		l.Close()
		return listen
	}
	var out []string
	for _, addr := range listen {
		if !strings.HasPrefix(addr, "/ip6/") {
			out = append(out, addr)
		}
	}
	return out
}

// join says when the node has joined, and, if that takes long, what is wrong.
func (a *app) join(ctx context.Context, n *live.Node) {
	if !n.Joining() {
		return
	}
	if err := n.Join(ctx); err != nil && ctx.Err() == nil {
		a.note("not joined yet: %v\ntrying again until it works; Ctrl-C ends", err)
		if err := n.WaitReady(ctx); err != nil {
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	a.note("joined, knows %s", count(n.Peers(), "peer"))
	a.tell("runs, has joined its network")
	if a.json {
		_ = writeJSON(a.stdout, map[string]any{"joined": true, "peers": n.Peers()})
	}
}

// stopped is how a command ends that runs until it is told to end.
func stopped(ctx context.Context) error {
	if context.Cause(ctx) == errTerminated {
		return nil
	}
	return control.Errorf(control.Interrupted, "stopped")
}

// end closes what runs, last first, but waits only so long.
func (a *app) end(running ...io.Closer) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, r := range running {
			_ = r.Close()
		}
	}()
	select {
	case <-done:
	case <-time.After(closeTimeout):
		a.note("some connections did not end within %v and are cut", closeTimeout)
	}
}
