package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/routing"
	"github.com/spf13/cobra"
)

// sessionFlags say which node an operation uses, and how.
type sessionFlags struct {
	control   string
	name      string
	bootstrap []string
	network   networkFlags
	key       string
	timeout   time.Duration
	trace     bool
}

// whichNode adds the flags by which a command finds a node that runs here.
func (a *app) whichNode(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&a.session.control, "control", "", "control socket of the node to use")
	flags.StringVar(&a.session.name, "name", "", "name of the node to use, if several run here")
	fromEnv(flags, "control", "KDHT_CONTROL")
	fromEnv(flags, "name", "KDHT_NAME")
	_ = cmd.RegisterFlagCompletionFunc("name", a.completeName) // fails only for a flag that is not there
}

// completeName completes the names of the nodes that run here.
func (a *app) completeName(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	home, err := config.FindHome(a.getenv)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return home.Running(), cobra.ShellCompDirectiveNoFileComp
}

// anyNode adds the flags of a command that any node can serve.
func (a *app) anyNode(cmd *cobra.Command) *cobra.Command {
	a.whichNode(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&a.session.bootstrap, "bootstrap", nil, "use no node of this machine, but join as a client through this `multiaddr` (repeatable)")
	a.networkFlag(cmd)
	flags.DurationVar(&a.session.timeout, "timeout", time.Minute, "how long the operation may take")
	flags.BoolVarP(&a.session.trace, "trace", "v", false, "show each hop of the lookup")
	fromEnv(flags, "timeout", "KDHT_TIMEOUT")
	return cmd
}

// operate runs op with the node that the flags say.
func (a *app) operate(cmd *cobra.Command, op func(ctx context.Context, n control.Node, w control.Watch) error) error {
	s := &a.session
	if s.timeout <= 0 {
		return control.Errorf(control.Usage, "--timeout %v leaves no time: write it like 30s", s.timeout)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	n, err := a.open(ctx)
	if err != nil {
		return control.AsError(err)
	}
	defer n.Close()
	var w control.Watch
	if s.trace {
		w = a.hop
	}
	if err := op(ctx, n, w); err != nil {
		return control.AsError(err)
	}
	return nil
}

// onNode runs op with the node that runs here, which may take so long.
func (a *app) onNode(cmd *cobra.Command, timeout time.Duration, op func(ctx context.Context, n *control.Client) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	n, err := a.dial(ctx)
	if err != nil {
		return control.AsError(err)
	}
	defer n.Close()
	if err := op(ctx, n); err != nil {
		return control.AsError(err)
	}
	return nil
}

// node is a control.Node that the command lets go of.
type node interface {
	control.Node
	io.Closer
}

// open returns the node that the flags say.
func (a *app) open(ctx context.Context) (node, error) {
	s := &a.session
	if len(s.bootstrap) == 0 {
		return a.dial(ctx)
	}
	if s.control != "" || s.name != "" {
		return nil, control.Errorf(control.Usage, "--bootstrap uses no node of this machine: give either it, or --control or --name")
	}
	cfg := live.Config{Mode: routing.ModeClient}
	if err := a.inNetwork(&cfg); err != nil {
		return nil, err
	}
	if s.key != "" {
		signer, err := config.LoadKey(s.key)
		if err != nil {
			return nil, err
		}
		cfg.Signer = signer
	}
	n, err := live.Start(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.Join(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// dial returns the node that runs here.
func (a *app) dial(ctx context.Context) (*control.Client, error) {
	path, err := a.socket()
	if err != nil {
		return nil, err
	}
	return control.Dial(ctx, path)
}

// socket returns the control socket that the flags say.
func (a *app) socket() (string, error) {
	if a.session.control != "" {
		return a.session.control, nil
	}
	home, err := config.FindHome(a.getenv)
	if err != nil {
		return "", err
	}
	return home.Find(a.session.name)
}
