package main

import (
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/multiformats/go-multihash"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const benchLong = `Measure a running node: store values of no meaning, find each of them again, announce
content of no meaning, find who has it, and say how long each took. The values go as
they expire, and nothing is announced again.

Values are found by asking the network, also where the node has them itself. Nobody else
has the content, so that a find asks all who might know.`

// benchFlags are bench's own.
type benchFlags struct {
	count, parallel, size int
	only                  []string
	timeout               time.Duration
}

// benchSteps are what is measured, in order.
var benchSteps = []string{"put", "get", "provide", "find"}

func (a *app) bench() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:               "bench",
		Short:             "Measure put, get, provide and find on a node",
		Long:              benchLong,
		Example:           "  kdht bench\n  kdht bench --count 200 --parallel 16 --size 1000\n  kdht bench --only provide,find --json",
		GroupID:           groupLook,
		Args:              args(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.whichNode(cmd)
	flags := cmd.Flags()
	flags.IntVarP(&f.count, "count", "n", 20, "how many operations of each kind, at most 10,000")
	flags.IntVar(&f.parallel, "parallel", 4, "how many at a time, at most 32")
	flags.IntVar(&f.size, "size", 100, "bytes of each value, 16 to 65,536")
	flags.StringSliceVar(&f.only, "only", benchSteps, "what to measure: put, get, provide, find")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long all of it may take")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return a.onNode(cmd, f.timeout, func(ctx context.Context, n *control.Client) error { return a.runBench(ctx, n, f) })
	}
	return cmd
}

func (f *benchFlags) check() error {
	if f.count < 1 || f.count > 10_000 || f.parallel < 1 || f.parallel > 32 || f.size < 16 || f.size > 64<<10 || f.timeout <= 0 {
		return control.Errorf(control.Usage, "--count is 1 to 10000, --parallel 1 to 32, --size 16 to 65536, and --timeout above 0")
	}
	for _, step := range f.only {
		if !slices.Contains(benchSteps, step) {
			return control.Errorf(control.Usage, "--only: there is no %.20q: use put, get, provide or find", step)
		}
	}
	return nil
}

// measured is how long the operations of one kind took.
type measured struct {
	Step      string  `json:"step"`
	Count     int     `json:"count"`
	Failed    int     `json:"failed"`
	First     string  `json:"first_failure,omitempty"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	Most      float64 `json:"max_ms"`
	PerSecond float64 `json:"per_second"`
	Requests  float64 `json:"requests"` // of one, in the mean
}

// runBench is bench.
func (a *app) runBench(ctx context.Context, n *control.Client, f *benchFlags) error {
	values, keys, cids := make([][]byte, f.count), make([][]byte, f.count), make([]string, f.count)
	for i := range f.count {
		values[i] = make([]byte, f.size)
		_, _ = crand.Read(values[i]) // never fails
		sum := sha256.Sum256(values[i])
		keys[i] = []byte("/imm/" + hex.EncodeToString(sum[:]))
		hash, err := multihash.Sum(values[i], multihash.SHA2_256, -1)
		if err != nil {
			return control.AsError(err)
		}
		cids[i] = cid.NewCidV1(cid.Raw, hash).String()
	}
	steps := map[string]func(ctx context.Context, i int) (control.Report, error){
		"put": func(ctx context.Context, i int) (control.Report, error) {
			s, err := n.Put(ctx, control.PutRequest{Key: keys[i], Value: values[i]}, nil)
			return reportOf(s, func() control.Report { return s.Report }), err
		},
		"get": func(ctx context.Context, i int) (control.Report, error) {
			v, err := n.Get(ctx, control.GetRequest{Key: keys[i]}, nil)
			return reportOf(v, func() control.Report { return v.Report }), err
		},
		"provide": func(ctx context.Context, i int) (control.Report, error) {
			p, err := n.Provide(ctx, control.ProvideRequest{CID: cids[i], Once: true}, nil)
			return reportOf(p, func() control.Report { return p.Report }), err
		},
		"find": func(ctx context.Context, i int) (control.Report, error) {
			p, err := n.FindProviders(ctx, control.ProvidersRequest{CID: cids[i]}, nil)
			if e := control.AsError(err); e != nil && e.Kind == control.NotFound && e.Report != nil {
				return *e.Report, nil // nobody but the node itself has it, and all that may know were asked
			}
			return reportOf(p, func() control.Report { return p.Report }), err
		},
	}
	var all []measured
	for _, step := range benchSteps {
		if !slices.Contains(f.only, step) {
			continue
		}
		all = append(all, a.measure(ctx, f, step, steps[step]))
		if ctx.Err() != nil {
			break
		}
	}
	if err := a.result(map[string]any{"bench": all, "size": f.size, "parallel": f.parallel}, func(w io.Writer) { writeMeasured(w, all) }); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, m := range all {
		if m.Failed == m.Count {
			return control.Errorf(control.Failed, "%s never worked: %s", m.Step, m.First)
		}
	}
	return nil
}

// measure runs one kind of operation, several at a time.
func (a *app) measure(ctx context.Context, f *benchFlags, step string, op func(context.Context, int) (control.Report, error)) measured {
	m := measured{Step: step}
	var mu sync.Mutex
	var times []float64
	var running sync.WaitGroup
	var bar *progressbar.ProgressBar
	if a.animated() {
		bar = progressbar.NewOptions(f.count, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(step),
			progressbar.OptionSetWidth(20), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		defer bar.Finish()
	}
	next, began := make(chan int), time.Now()
	for range f.parallel {
		running.Go(func() {
			for i := range next {
				start := time.Now()
				report, err := op(ctx, i)
				took := control.Millis(time.Since(start))
				mu.Lock()
				m.Count++
				m.Requests += float64(report.Asked)
				if err != nil {
					if m.Failed++; m.First == "" {
						m.First = control.AsError(err).Message
					}
				} else {
					times = append(times, took)
				}
				if bar != nil {
					_ = bar.Add(1)
				}
				mu.Unlock()
			}
		})
	}
	for i := 0; i < f.count && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	running.Wait()
	m.summarize(times, time.Since(began))
	return m
}

func (m *measured) summarize(times []float64, took time.Duration) {
	slices.Sort(times)
	m.P50, m.P90, m.P99, m.Most = percentile(times, 50), percentile(times, 90), percentile(times, 99), percentile(times, 100)
	if m.Count > 0 {
		m.Requests = math.Round(m.Requests/float64(m.Count)*10) / 10
		m.PerSecond = math.Round(float64(m.Count)/took.Seconds()*10) / 10
	}
}

// percentile returns the least of sorted values that p in a hundred do not exceed.
func percentile(sorted []float64, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

func writeMeasured(w io.Writer, all []measured) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, strings.Join([]string{"", "count", "failed", "p50", "p90", "p99", "max", "a second", "requests", ""}, "\t"))
	for _, m := range all {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t\n", m.Step, m.Count, m.Failed, millis(m.P50), millis(m.P90), millis(m.P99), millis(m.Most), m.PerSecond, m.Requests)
	}
	tw.Flush()
	for _, m := range all {
		if m.First != "" {
			fmt.Fprintf(w, "%s failed first: %s\n", m.Step, control.Clean(m.First))
		}
	}
}
