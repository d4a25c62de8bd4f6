package main

import (
	"context"
	"fmt"
	"io"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
)

const idLong = `Print the id of the node that runs here; if none does, of the one that would: the
id of its key. With --key, of that key.`

func (a *app) id() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "id",
		Short:             "Print a node's id",
		Long:              idLong,
		Example:           "  kdht id\n  kdht id --name node-2\n  kdht id --key node.key",
		GroupID:           groupLook,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.whichNode(cmd)
	cmd.Flags().StringVar(&a.session.key, "key", "", "a node's key `FILE`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, running, err := a.whoami(cmd.Context())
		if err != nil {
			return control.AsError(err)
		}
		return a.result(struct {
			control.Peer
			Running bool `json:"running"`
		}{p, running}, func(w io.Writer) { fmt.Fprintln(w, p.ID) })
	}
	return cmd
}

// whoami returns the node that the flags say, as far as it is known.
func (a *app) whoami(ctx context.Context) (p control.Peer, running bool, err error) {
	s := &a.session
	if s.key == "" {
		path, err := a.socket()
		if err != nil {
			return p, false, err
		}
		if control.Alive(path) || s.control != "" {
			p, err = a.ask(ctx)
			return p, true, err
		}
		home, err := config.FindHome(a.getenv)
		if err != nil {
			return p, false, err
		}
		s.key = home.Key(cmpName(s.name))
	}
	key, err := config.ReadKey(s.key)
	if err != nil {
		return p, false, err
	}
	id, err := peer.IDFromPrivateKey(key)
	return control.Peer{ID: id.String(), Addrs: []string{}}, false, err
}

// ask returns what the node that runs here says of itself.
func (a *app) ask(ctx context.Context) (control.Peer, error) {
	c, err := a.dial(ctx)
	if err != nil {
		return control.Peer{}, err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return control.Peer{}, err
	}
	return s.Peer, nil
}

// cmpName is the name of the node that none names.
func cmpName(name string) string {
	if name == "" {
		return config.FirstName
	}
	return name
}
