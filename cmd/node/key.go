package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
)

const keyLong = `Make, show and take over the keys that nodes are known by: whoever has the key of a node can
be it. Without a FILE it is the key that ` + "`kdht run`" + ` uses here, or with --name that of the
node of this name. A file that is there is never replaced.`

// key is the command with its own commands.
func (a *app) key() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make, show and take over keys",
		Long:    keyLong,
		Example: "  kdht key gen node.key\n  kdht key show node.key\n  openssl genpkey -algorithm ed25519 | kdht key import - node.key",
		GroupID: groupNodes,
		Args:    args(0, 0, "gen, show or import"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.keyGen(), a.keyShow(), a.keyImport())
	return cmd
}

// keyFile returns the file that the n-th argument names, or else the node's.
func (a *app) keyFile(given []string, n int) (string, error) {
	if len(given) > n {
		return given[n], nil
	}
	home, err := config.FindHome(a.getenv)
	if err != nil {
		return "", err
	}
	name := cmpName(a.session.name)
	if err := config.CheckName(name); err != nil {
		return "", err
	}
	return home.Key(name), nil
}

func (a *app) keyName(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.session.name, "name", "", "name of the node whose key it is")
	fromEnv(cmd.Flags(), "name", "KDHT_NAME")
	_ = cmd.RegisterFlagCompletionFunc("name", a.completeName)
	return cmd
}

func (a *app) keyGen() *cobra.Command {
	kind := "ed25519"
	cmd := &cobra.Command{
		Use:     "gen [FILE]",
		Short:   "Make a key, print its id",
		Example: "  kdht key gen\n  kdht key gen --type secp256k1 node.key",
		Args:    args(0, 1, "at most a FILE"),
	}
	cmd.Flags().StringVar(&kind, "type", kind, "ed25519, secp256k1, ecdsa or rsa (2048 bits)")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"ed25519", "secp256k1", "ecdsa", "rsa"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		types := map[string]int{"ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1, "ecdsa": crypto.ECDSA, "rsa": crypto.RSA}
		t, ok := types[kind]
		if !ok {
			return control.Errorf(control.Usage, "there is no kind of key %.20q: use ed25519, secp256k1, ecdsa or rsa", kind)
		}
		key, _, err := crypto.GenerateKeyPair(t, 2048)
		if err != nil {
			return control.AsError(err)
		}
		return a.keepKey(given, 0, key)
	}
	return a.keyName(cmd)
}

// keepKey writes a key to a new file and prints whose it is.
func (a *app) keepKey(given []string, n int, key crypto.PrivKey) error {
	path, err := a.keyFile(given, n)
	if err != nil {
		return err
	}
	if err := build.SaveKey(path, key); errors.Is(err, fs.ErrExist) {
		return control.Errorf(control.Failed, "there is a key %s already: name another FILE, or move that one away if its node is to be forgotten", path)
	} else if err != nil {
		return control.AsError(err)
	}
	return a.showKey(path, key)
}

func (a *app) keyImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FROM | - [FILE]",
		Short: "Take over a key that another program made",
		Long: "Take over a key that another program made: libp2p's marshalled form, also in base64 as IPFS\n" +
			"nodes have it in their configuration, PEM without a password, or an Ed25519 seed in hexadecimal\nor base64.",
		Example: "  kdht key import ed25519.pem node.key\n  jq -r .Identity.PrivKey ~/.ipfs/config | kdht key import - node.key",
		Args:    args(1, 2, "where the key is, and at most a FILE"),
	}
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		from := a.stdin
		if given[0] != input.Stdin {
			file, err := os.Open(given[0])
			if err != nil {
				return control.Errorf(control.Usage, "cannot read the key: %v", err)
			}
			defer file.Close()
			from = file
		}
		raw, err := io.ReadAll(io.LimitReader(from, 1<<20))
		if err != nil {
			return control.Errorf(control.Usage, "cannot read the key: %v", err)
		}
		key, err := build.ParseKey(raw)
		if err != nil {
			return control.Errorf(control.Usage, "%s", control.Line(err))
		}
		return a.keepKey(given, 1, key)
	}
	return a.keyName(cmd)
}

func (a *app) keyShow() *cobra.Command {
	var private bool
	cmd := &cobra.Command{
		Use:     "show [FILE]",
		Short:   "Show whose a key is, and its public part",
		Example: "  kdht key show\n  kdht key show node.key --json\n  kdht key show --private node.key      # for another program: keep it to yourself",
		Args:    args(0, 1, "at most a FILE"),
	}
	cmd.Flags().BoolVar(&private, "private", false, "print the private key instead, in base64")
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		path, err := a.keyFile(given, 0)
		if err != nil {
			return err
		}
		key, err := config.ReadKey(path)
		if err != nil {
			return err
		}
		if !private {
			return a.showKey(path, key)
		}
		raw, err := crypto.MarshalPrivateKey(key)
		if err != nil {
			return control.AsError(err)
		}
		return a.result(map[string][]byte{"private": raw}, func(w io.Writer) { fmt.Fprintln(w, base64.StdEncoding.EncodeToString(raw)) })
	}
	return a.keyName(cmd)
}

// showKey prints whose a key is.
func (a *app) showKey(path string, key crypto.PrivKey) error {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return control.AsError(err)
	}
	public, err := crypto.MarshalPublicKey(key.GetPublic())
	if err != nil {
		return control.AsError(err)
	}
	k := struct {
		ID     string `json:"id"`
		Type   string `json:"type"`
		File   string `json:"file"`
		Public []byte `json:"public"`
	}{id.String(), key.Type().String(), path, public}
	return a.result(k, func(w io.Writer) {
		fmt.Fprintf(w, "id      %s\ntype    %s\nfile    %s\npublic  %s\n", k.ID, k.Type, k.File, base64.StdEncoding.EncodeToString(public))
	})
}
