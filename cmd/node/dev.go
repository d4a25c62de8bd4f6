package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/config"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/cmd/node/internal/overlay"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const devLong = `Run a whole overlay on this machine, in one process, and show what it does: a value
is stored from one node and found from another, a file is announced by one and its
provider found from another, with each hop on the way.

It stays up until Ctrl-C, for other nodes to join and for the other commands to use.
Nodes of dev keep 4 replicas instead of 20, so that with 20 nodes there is something
to look for.`

// devFlags are dev's own.
type devFlags struct {
	nodes, bucket int
	file          string
	once          bool
	timeout       time.Duration
}

func (a *app) dev() *cobra.Command {
	f := &devFlags{}
	cmd := &cobra.Command{
		Use:               "dev",
		Short:             "Run a whole overlay on this machine, to look at",
		Long:              devLong,
		Example:           "  kdht dev\n  kdht dev -n 60 --file photo.jpg\n  kdht dev --once                  end after the show; status 0 if all was found",
		GroupID:           groupNodes,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.IntVarP(&f.nodes, "nodes", "n", 20, "how many nodes")
	flags.IntVar(&f.bucket, "bucket-size", 4, "k: how many peers hold a record")
	flags.StringVar(&f.file, "file", "", "`FILE` to announce (default: README.md of the directory or of one above)")
	flags.BoolVar(&f.once, "once", false, "end after the show")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long start and show may take")
	flags.StringVar(&a.session.control, "control", "", "control socket of the first node")
	a.prefixFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runDev(cmd.Context(), f) }
	return cmd
}

// runDev is dev.
func (a *app) runDev(ctx context.Context, f *devFlags) error {
	if err := a.checkDev(f); err != nil {
		return err
	}
	showing, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	o, err := a.startOverlay(showing, f)
	if err != nil {
		return control.AsError(err)
	}
	defer a.end(o)
	s := &show{app: a, overlay: o, file: f.file}
	if err := s.run(showing); err != nil {
		return control.AsError(err)
	}
	if f.once {
		return nil
	}
	server, path, err := a.serveDev(o.Nodes[0])
	if err != nil {
		return err
	}
	if server != nil {
		defer a.end(server)
	}
	if err := a.announceDev(o, path); err != nil {
		return err
	}
	<-ctx.Done()
	return stopped(ctx)
}

func (a *app) checkDev(f *devFlags) error {
	if err := a.checkPrefix(); err != nil {
		return err
	}
	if f.bucket < 1 || f.bucket > 20 {
		return control.Errorf(control.Usage, "--bucket-size %d: choose 1 to 20", f.bucket)
	}
	if f.timeout <= 0 {
		return control.Errorf(control.Usage, "--timeout %v leaves no time: write it like 30s", f.timeout)
	}
	if f.file == "" {
		f.file = someFile()
	}
	if info, err := os.Stat(f.file); err != nil || !info.Mode().IsRegular() {
		return control.Errorf(control.Usage, "there is no file %q to announce: give one with --file", f.file)
	}
	return nil
}

// someFile returns the README.md nearest above, or else this very program.
func someFile() string {
	dir, err := os.Getwd()
	for err == nil {
		path := filepath.Join(dir, "README.md")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	program, _ := os.Executable() // "" is no file, which is said then
	return program
}

// startOverlay starts the nodes, with a bar for people to look at meanwhile.
func (a *app) startOverlay(ctx context.Context, f *devFlags) (*overlay.Overlay, error) {
	cfg := overlay.Config{Count: f.nodes, BucketSize: f.bucket, Prefix: a.session.network.prefix}
	if a.animated() {
		bar := progressbar.NewOptions(f.nodes, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription("starting nodes"),
			progressbar.OptionSetWidth(20), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		defer bar.Finish()
		cfg.Progress = func() { _ = bar.Add(1) }
	}
	return overlay.Start(ctx, cfg)
}

// serveDev lets the other commands use the first node. Without a place for the
// socket there is none: the overlay can be joined all the same.
func (a *app) serveDev(n *live.Node) (io.Closer, string, error) {
	path := a.session.control
	if path == "" {
		home, err := config.FindHome(a.getenv)
		if err != nil {
			return nil, "", nil
		}
		path = home.Socket(home.FreeName("dev"))
	}
	l, err := control.Listen(path)
	if err != nil {
		return nil, "", err
	}
	return control.Serve(l, n), path, nil
}

// announceDev says how to join the overlay and how to use it.
func (a *app) announceDev(o *overlay.Overlay, path string) error {
	addrs := live.FullAddrs(o.Nodes[0].Info())
	lines := a.joinLines(addrs)
	return a.result(struct {
		ID      string   `json:"id"`
		Addrs   []string `json:"addrs"`
		Control string   `json:"control"`
		Join    []string `json:"join"`
	}{o.Nodes[0].ID().String(), addrs, path, lines}, func(w io.Writer) {
		fmt.Fprintf(w, "\nThe overlay stays up until Ctrl-C. To join it:\n  %s\n", lines[0])
		if path != "" {
			fmt.Fprintf(w, "To use its first node:\n  %s status --control %s\n", calledAs(os.Args[0]), path)
		}
	})
}
