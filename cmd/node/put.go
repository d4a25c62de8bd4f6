package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

const putLong = `Store a small value (up to 64 KiB) with the peers nearest to its key, for 48 h.

Without more, the value names itself: its key is /imm/ and its SHA-256, which
nobody can replace. With --mut NAME the node signs it under /mut/<its id>/NAME, and
a later put of the same name replaces it. The key is printed.

KEY VALUE, or --key KEY with a file, stores under a key that you give, as it is.`

const putExample = `  kdht put notes.txt               under /imm/<sha-256>
  date | kdht put -                what comes from standard input
  kdht put --text "hello"          the text itself
  kdht put --mut status --text up  signed, to be replaced by the next put
  kdht put --republish page.html   kept for as long as this node runs now and then
  kdht put KEY VALUE               under a key of your own, VALUE or - as in --text`

// putFlags are put's own.
type putFlags struct {
	key, mut, text string
	republish      bool
	validFor       time.Duration
}

func (a *app) put() *cobra.Command {
	f := &putFlags{}
	cmd := &cobra.Command{
		Use:     "put FILE | - | --text VALUE | KEY VALUE",
		Short:   "Store a value, print its key",
		Long:    putLong,
		Example: putExample,
		GroupID: groupUse,
		Args:    args(0, 2, "a FILE, - for standard input, --text VALUE, or KEY VALUE"),
	}
	cmd.Flags().StringVar(&f.key, "key", "", "store under this key instead of /imm/…")
	cmd.Flags().StringVar(&f.mut, "mut", "", "sign, and store under /mut/<node's id>/`NAME`")
	cmd.Flags().StringVar(&f.text, "text", "", "the value itself, instead of a file")
	cmd.Flags().DurationVar(&f.validFor, "valid-for", 48*time.Hour, "how long a signed value holds")
	cmd.Flags().BoolVar(&f.republish, "republish", false, "have the node put it again every 22 h, until it is dropped (`kdht records drop`) or not valid any more")
	cmd.Flags().StringVar(&a.session.key, "sign-with", "", "with --bootstrap and --mut: the key `FILE` to sign with (default: the node's)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := a.putRequest(cmd, f, args)
		if err != nil {
			return err
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			stored, err := n.Put(ctx, r, w)
			if err != nil {
				return err
			}
			return a.stored(stored, len(r.Value))
		})
	}
	return a.anyNode(cmd)
}

// stored writes the outcome.
func (a *app) stored(s *control.Stored, size int) error {
	key := input.ShowKey(s.Key)
	a.note("stored %s with %s", count(size, "byte"), count(len(s.Report.Holders), "peer"))
	a.report(s.Report)
	return a.result(struct {
		Key    string         `json:"key"`
		Size   int            `json:"size"`
		Report control.Report `json:"report"`
	}{key, size, s.Report}, func(w io.Writer) { fmt.Fprintln(w, key) })
}

// putRequest reads the command line.
func (a *app) putRequest(cmd *cobra.Command, f *putFlags, args []string) (control.PutRequest, error) {
	r := control.PutRequest{Mut: f.mut, Republish: f.republish}
	if f.republish && len(a.session.bootstrap) > 0 {
		return r, control.Errorf(control.Usage, "--republish is for a node that goes on running: leave --bootstrap out")
	}
	if f.mut != "" {
		r.ValidFor = f.validFor
		if err := a.signer(); err != nil {
			return r, err
		}
	}
	key, what := f.key, args
	if len(args) == 2 {
		if key != "" || f.mut != "" || cmd.Flags().Changed("text") {
			return r, control.Errorf(control.Usage, "KEY VALUE goes without --key, --mut and --text")
		}
		key, what = args[0], args[1:]
	}
	if key != "" {
		if f.mut != "" {
			return r, control.Errorf(control.Usage, "--key and --mut both name the key: give one")
		}
		var err error
		if r.Key, err = input.Key(key); err != nil {
			return r, err
		}
	}
	var err error
	r.Value, err = a.putValue(cmd, f, what, len(args) == 2)
	return r, err
}

// putValue reads the value; literal says that the argument is the value itself.
func (a *app) putValue(cmd *cobra.Command, f *putFlags, what []string, literal bool) ([]byte, error) {
	switch text := cmd.Flags().Changed("text"); {
	case text && len(what) > 0:
		return nil, control.Errorf(control.Usage, "both --text and %.40q are given: give one", what[0])
	case text:
		return []byte(f.text), nil
	case len(what) == 0:
		return nil, control.Errorf(control.Usage, "nothing to store: give a FILE, - for standard input, or --text VALUE")
	case literal && what[0] != input.Stdin:
		return []byte(what[0]), nil
	case strings.HasPrefix(what[0], "/imm/"), strings.HasPrefix(what[0], "/mut/"), strings.HasPrefix(what[0], "/pk/"):
		return nil, control.Errorf(control.Usage, "%.40q is a key without a value: write `kdht put KEY VALUE`, or --key KEY FILE", what[0])
	}
	return input.Value(what[0], a.stdin)
}

// signer names the key file that a client signs with; a running node has its own.
func (a *app) signer() error {
	s := &a.session
	if len(s.bootstrap) == 0 || s.key != "" {
		return nil
	}
	home, err := config.FindHome(a.getenv)
	if err != nil {
		return err
	}
	name := s.name
	if name == "" {
		name = config.FirstName
	}
	s.key = home.Key(name)
	return nil
}
