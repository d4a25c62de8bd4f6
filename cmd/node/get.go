package main

import (
	"bytes"
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/store"
	"github.com/spf13/cobra"
)

const getLong = `Find the best value of a key and write it to standard output, as it is.

Of a /mut value, which is signed, what was signed is written, or with --raw the
whole envelope.`

func (a *app) get() *cobra.Command {
	var quorum int
	var raw bool
	cmd := &cobra.Command{
		Use:               "get KEY",
		Short:             "Find a value, write it to standard output",
		Long:              getLong,
		Example:           "  kdht get /imm/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n  kdht get --trace $(kdht put --text hello)",
		GroupID:           groupUse,
		Args:              args(1, 1, "one KEY"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVar(&quorum, "quorum", 0, "end when this many peers gave a value, 0: ask all (default 1 for /imm and /pk, else 0)")
	cmd.Flags().BoolVar(&raw, "raw", false, "write a /mut value with its envelope")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := input.Key(args[0])
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("quorum") {
			quorum = enough(key)
		}
		if quorum < 0 {
			return control.Errorf(control.Usage, "--quorum %d: give 0 for all, or how many values are enough", quorum)
		}
		return a.operate(cmd, func(ctx context.Context, n control.Node, w control.Watch) error {
			v, err := n.Get(ctx, control.GetRequest{Key: key, Quorum: quorum}, w)
			if err != nil {
				return err
			}
			a.report(v.Report)
			return a.value(key, v, raw)
		})
	}
	return a.anyNode(cmd)
}

// enough is how many values of a key are: of those whose key is made from the
// value there is only one.
func enough(key []byte) int {
	if strings.HasPrefix(string(key), "/imm/") || strings.HasPrefix(string(key), "/pk/") {
		return 1
	}
	return 0
}

// gotten is get's result.
type gotten struct {
	Key string `json:"key"`
	// Value is the value if it is text, Base64 in any case.
	Value    *string        `json:"value,omitempty"`
	Base64   []byte         `json:"value_base64"`
	Sequence uint64         `json:"sequence,omitempty"` // of a /mut value
	Expires  *time.Time     `json:"expires,omitempty"`
	Report   control.Report `json:"report"`
}

func (a *app) value(key []byte, v *control.Value, raw bool) error {
	g := gotten{Key: input.ShowKey(key), Base64: v.Value, Report: v.Report}
	if strings.HasPrefix(string(key), "/mut/") && !raw {
		seq, expires, content, err := store.OpenMut(string(key), v.Value)
		if err != nil {
			return control.Errorf(control.Failed, "the value cannot be opened: %v; look at it with --raw", err)
		}
		g.Base64, g.Sequence, g.Expires = content, seq, &expires
	}
	if !a.json {
		content := g.Base64
		if isTerminal(a.stdout) && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(bytes.Clone(content), '\n') // so that the prompt is not glued to it
		}
		_, err := a.stdout.Write(content)
		return a.written(err)
	}
	if g.Base64 == nil {
		g.Base64 = []byte{}
	}
	if utf8.Valid(g.Base64) {
		text := string(g.Base64)
		g.Value = &text
	}
	return a.written(writeJSON(a.stdout, g))
}
