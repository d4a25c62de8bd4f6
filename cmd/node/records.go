package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/spf13/cobra"
)

const recordsLong = `Show what a running node keeps for others and for itself: how many values and provider
records, by namespace, and when the first of them expires. Nobody else is asked.`

const recordsExample = `  kdht records
  kdht records get /imm/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  kdht records export values.ndjson && kdht records import values.ndjson
  kdht records backup /backup/kdht-monday     opens with kdht run --data-dir`

// recordsTimeout bounds the talk with a node that runs here: it may have millions.
const recordsTimeout = 10 * time.Minute

// records is the command with its own commands.
func (a *app) records() *cobra.Command {
	cmd := &cobra.Command{
		Use: "records", Short: "Show, copy and drop what a node keeps", Long: recordsLong, Example: recordsExample, GroupID: groupLook,
		Args: args(0, 0, "no arguments but get, drop, export, import and backup"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.onRecords(cmd, func(ctx context.Context, n *control.Client, _ []string) error {
		r, err := n.Records(ctx)
		if err != nil {
			return err
		}
		return a.result(r, func(w io.Writer) { writeRecords(w, r) })
	})
	cmd.AddCommand(a.recordsGet(), a.recordsDrop(), a.recordsExport(), a.recordsImport(), a.recordsBackup())
	return cmd
}

// onRecords makes cmd run op on the node that runs here.
func (a *app) onRecords(cmd *cobra.Command, op func(ctx context.Context, n *control.Client, given []string) error) {
	a.whichNode(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		return a.onNode(cmd, recordsTimeout, func(ctx context.Context, n *control.Client) error { return op(ctx, n, given) })
	}
}

func writeRecords(w io.Writer, r *control.Records) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "kept\t%s\n", cmp.Or(r.Dir, "in memory"))
	fmt.Fprintf(tw, "values\t%s, charged for %s\n", count(r.Values, "value"), bytesText(r.Bytes))
	fmt.Fprintf(tw, "providers\t%s\n", count(r.Providers, "provider record"))
	fmt.Fprintf(tw, "put again\t%s\n", count(r.Publishing, "value"))
	fmt.Fprintf(tw, "table\t%s kept for the next start\n", count(r.Snapshot, "peer"))
	if r.Disk != nil {
		fmt.Fprintf(tw, "disk\t%s\n", diskText(r.Disk))
	}
	if len(r.Namespaces) > 0 {
		fmt.Fprintln(tw, "\nNAMESPACE\tVALUES\tBYTES\tOLDEST\tNEXT EXPIRY")
	}
	for _, n := range r.Namespaces {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\tin %s\n", control.Clean("/"+n.Name), n.Values, bytesText(n.Bytes), seconds(n.Oldest), seconds(n.Next))
	}
	tw.Flush()
}

// diskText says what was found wrong with a node's files.
func diskText(d *control.Disk) string {
	var all []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{d.Unreadable, "places could not be read"},
		{d.Lost, "records or writes known to be gone"},
		{d.Saved, "values saved from what was damaged"},
	} {
		if c.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if d.Saving {
		all = append(all, "saving more")
	}
	if d.Refused != "" {
		all = append(all, "no values are taken: "+control.Clean(d.Refused))
	}
	return cmp.Or(strings.Join(all, "; "), "sound")
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// bytesText writes a number of bytes with the unit that suits it.
func bytesText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return count(int(n), "byte")
}

func (a *app) recordsGet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Write a value that this node keeps to standard output", Example: "  kdht records get /mut/12D3KooW…/state > state",
		Args: args(1, 1, "one KEY"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.onRecords(cmd, func(ctx context.Context, n *control.Client, given []string) error {
		key, err := input.Key(given[0])
		if err != nil {
			return err
		}
		r, err := n.Local(ctx, control.KeyRequest{Key: key})
		if err != nil {
			return err
		}
		return a.result(r, func(w io.Writer) { _, _ = w.Write(r.Value) })
	})
	return cmd
}

func (a *app) recordsDrop() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drop KEY", Short: "Forget a value on this node, and put it again no longer", Args: args(1, 1, "one KEY"), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  kdht records drop /imm/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Long:    "Forget a value on this node, and put it again no longer. Other nodes keep theirs until\nthey expire, and may give it back.",
	}
	a.onRecords(cmd, func(ctx context.Context, n *control.Client, given []string) error {
		key, err := input.Key(given[0])
		if err != nil {
			return err
		}
		d, err := n.Drop(ctx, control.KeyRequest{Key: key})
		if err != nil {
			return err
		}
		return a.result(d, func(w io.Writer) {
			fmt.Fprintln(w, map[bool]string{true: "dropped", false: "it was not kept here"}[d.Held])
		})
	})
	return cmd
}

func (a *app) recordsExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export [FILE]", Short: "Write every value that this node keeps, one JSON object a line", Args: args(0, 1, "at most a FILE"),
		Example: "  kdht records export values.ndjson\n  kdht records export | gzip > values.gz",
		Long:    "Write every value that this node keeps, one JSON object a line, with how long it will\nstill be kept. Provider records are left out: only their providers can announce them.",
	}
	a.onRecords(cmd, func(ctx context.Context, n *control.Client, given []string) error {
		if len(given) == 0 || given[0] == input.Stdin {
			return a.export(ctx, n, a.stdout)
		}
		file, err := os.OpenFile(given[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return control.Errorf(control.Usage, "cannot make the file: %v", err)
		}
		err = a.export(ctx, n, file)
		if closed := file.Close(); err == nil && closed != nil {
			err = control.Errorf(control.Failed, "cannot write %s: %v", given[0], closed)
		}
		return err
	})
	return cmd
}

func (a *app) export(ctx context.Context, n *control.Client, to io.Writer) error {
	w := bufio.NewWriter(to)
	var failed error
	done, err := n.Export(ctx, func(e control.Event) {
		if e.Record != nil && failed == nil {
			failed = writeJSON(w, e.Record)
		}
	})
	if err != nil {
		return err
	}
	if err := errors.Join(failed, w.Flush()); err != nil {
		return control.Errorf(control.Failed, "cannot write the values: %s", control.Line(err))
	}
	a.note("exported %s", count(done.Count, "value"))
	return nil
}

// maxImportLine bounds a line of an import, as its node bounds a request.
const maxImportLine = 6 << 20

func (a *app) recordsImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE | -", Short: "Keep values that were exported", Args: args(1, 1, "a FILE, or - for standard input"),
		Example: "  kdht records import values.ndjson\n  zcat values.gz | kdht records import -",
		Long:    "Keep values that were exported, on this node, for as long as they had left when they\nwere. Each is checked like a put of another node's; a better one that is there stays.",
	}
	a.onRecords(cmd, func(ctx context.Context, n *control.Client, given []string) error {
		from := a.stdin
		if given[0] != input.Stdin {
			file, err := os.Open(given[0])
			if err != nil {
				return control.Errorf(control.Usage, "cannot read the file: %v", err)
			}
			defer file.Close()
			from = file
		}
		return a.importFrom(ctx, n, from)
	})
	return cmd
}

// importFrom gives the node one value after another.
func (a *app) importFrom(ctx context.Context, n *control.Client, from io.Reader) error {
	var sum struct {
		Taken   int    `json:"taken"`
		Refused int    `json:"refused"`
		Why     string `json:"first_refusal,omitempty"`
	}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxImportLine)
	for at := 1; lines.Scan(); at++ {
		var r control.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || len(r.Key) == 0 {
			return control.Errorf(control.Usage, "line %d is no value as `kdht records export` writes it; %d before it were taken", at, sum.Taken)
		}
		got, err := n.Import(ctx, r)
		switch {
		case err != nil:
			return err
		case got.Taken:
			sum.Taken++
		default:
			if sum.Refused++; sum.Refused == 1 {
				sum.Why = got.Why
			}
		}
	}
	if err := lines.Err(); err != nil {
		return control.Errorf(control.Usage, "cannot read the values: %v; %d were taken", err, sum.Taken)
	}
	return a.result(sum, func(w io.Writer) {
		fmt.Fprintf(w, "imported %s", count(sum.Taken, "value"))
		if sum.Refused > 0 {
			fmt.Fprintf(w, ", %d refused (the first: %s)", sum.Refused, control.Clean(sum.Why))
		}
		fmt.Fprintln(w)
	})
}

func (a *app) recordsBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Copy what this node keeps on disk into a new directory, while it runs", Args: args(1, 1, "a DIR that does not exist yet"),
		Example: "  kdht records backup /backup/kdht-monday",
		Long:    "Copy what this node keeps on disk into a new directory, while it runs: the values, those\nput again included, and the routing table, neither the key nor provider records. A copy is\nopened with `kdht run --data-dir DIR`.",
	}
	a.onRecords(cmd, func(ctx context.Context, n *control.Client, given []string) error {
		dir, err := filepath.Abs(given[0])
		if err != nil {
			return err
		}
		done, err := n.Backup(ctx, control.BackupRequest{Dir: dir})
		if err != nil {
			return err
		}
		return a.result(done, func(w io.Writer) { fmt.Fprintf(w, "%s in %s\n", count(done.Values, "value"), done.Dir) })
	})
	return cmd
}
