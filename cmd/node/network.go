package main

import (
	"regexp"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/spf13/cobra"
)

// networkFlags say which network a node is in.
type networkFlags struct{ kind, prefix, profile string }

// noBootstrap stands for nobody to join through.
const noBootstrap = "none"

const defaultPrefix = "/kdht"

// networkFlag adds the flags that name a network.
func (a *app) networkFlag(cmd *cobra.Command) {
	a.prefixFlag(cmd)
	f, flags := &a.session.network, cmd.Flags()
	flags.StringVar(&f.kind, "network", string(live.Private), "private (your own), amino (the public one of IPFS nodes), lan (theirs of local networks) or dual (both)")
	flags.StringVar(&f.profile, "profile", "", "what addresses belong to it: private (any), public or lan (default: as suits the network)")
	_ = cmd.RegisterFlagCompletionFunc("network", cobra.FixedCompletions(live.Networks, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions([]string{"private", "public", "lan"}, cobra.ShellCompDirectiveNoFileComp))
	fromEnv(flags, "network", "KDHT_NETWORK")
}

func (a *app) prefixFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.session.network.prefix, "protocol-prefix", defaultPrefix, "name of a private network: its protocol is <prefix>/kad/1.0.0")
	fromEnv(cmd.Flags(), "protocol-prefix", "KDHT_PROTOCOL_PREFIX")
}

var goodPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._-]+){1,8}$`)

// checkPrefix makes sure that the prefix makes a protocol id.
func (a *app) checkPrefix() error {
	if p := a.session.network.prefix; !goodPrefix.MatchString(p) || len(p) > 100 {
		return control.Errorf(control.Usage, "%.40q is no protocol prefix: write it like /kdht", p)
	}
	return nil
}

// inNetwork sets what the flags say of the network: its kind, its addresses, and whom
// it is joined through.
func (a *app) inNetwork(cfg *live.Config) (err error) {
	f := &a.session.network
	if err := a.checkPrefix(); err != nil {
		return err
	}
	if cfg.Network, err = live.ParseNetwork(f.kind); err != nil {
		return err
	}
	if cfg.Prefix = f.prefix; cfg.Network.IPFS() && f.prefix != defaultPrefix {
		return control.Errorf(control.Usage, "--network %s has a protocol of its own: leave out --protocol-prefix", f.kind)
	}
	if cfg.Profile = cfg.Network.Profile(); f.profile != "" {
		if cfg.Profile, err = profile.Parse(f.profile); err != nil {
			return control.Errorf(control.Usage, "--profile: %v", err)
		}
	}
	switch texts := a.session.bootstrap; {
	case len(texts) == 0:
		cfg.Bootstrap = cfg.Network.Bootstrap()
		return nil
	case len(texts) == 1 && texts[0] == noBootstrap:
		return nil
	}
	if cfg.Bootstrap, err = input.Bootstrap(a.session.bootstrap); err != nil || cfg.Network == live.Dual {
		return err
	}
	return input.Inside(cfg.Profile, cfg.Bootstrap)
}

// networkArgs are the flags that another node is to be given to be in the same network.
func (a *app) networkArgs() (args string) {
	f := &a.session.network
	if f.kind != string(live.Private) && f.kind != "" {
		args += " --network " + f.kind
	}
	if f.profile != "" {
		args += " --profile " + f.profile
	}
	if f.prefix != defaultPrefix {
		args += " --protocol-prefix " + f.prefix
	}
	return args
}
