package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// limit is how long the tests of one package may take in one stage. Whoever is not
// done by then hangs, which is a failure as any other.
const limit = time.Minute

// Runner puts bugs before tests. Its folder holds the files with bugs in them, and
// is the caller's to remove.
type Runner struct {
	root, folder string
	cpu          time.Duration // of all go commands so far
}

// Verdict is what became of one bug.
type Verdict struct {
	// Stage is where it was caught; len(stages) if it survived.
	Stage int
	// By are the tests that failed in that stage, as "package.Test".
	By []string
	// Kinds are their kinds, each once.
	Kinds []Kind
	CPU   time.Duration
}

// Caught reports whether any test has failed.
func (v *Verdict) Caught() bool { return v.Stage < len(stages) }

// NewRunner returns a runner for the module in root.
func NewRunner(root, folder string) (*Runner, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	return &Runner{root: root, folder: folder}, nil
}

// Try puts b before the tests of its packages, stage by stage and one package after
// the other, until a test fails. An error means that nothing can be said: the bug does not apply, or does not build.
func (r *Runner) Try(ctx context.Context, b *Bug) (Verdict, error) {
	before := r.cpu
	overlay, err := r.overlay(b)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{}
	for ; v.Stage < len(stages) && v.By == nil; v.Stage++ {
		for _, pkg := range b.In {
			if v.By != nil {
				break
			}
			failed, err := r.test(ctx, pkg, stages[v.Stage], overlay)
			if err != nil {
				return v, fmt.Errorf("bug %s: %w", b.Name, err)
			}
			for _, test := range failed {
				v.By = append(v.By, pkg+"."+test)
				if kind := kindOf(pkg, test); !slices.Contains(v.Kinds, kind) {
					v.Kinds = append(v.Kinds, kind)
				}
			}
		}
	}
	if v.By != nil {
		v.Stage--
	}
	v.CPU = r.cpu - before
	return v, nil
}

// overlay writes b's file, and the list that tells the go command to read it in
// place of the true one. It returns the name of the list.
func (r *Runner) overlay(b *Bug) (string, error) {
	source, err := b.apply(r.root)
	if err != nil {
		return "", err
	}
	file := filepath.Join(r.folder, b.Name+".go")
	list, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(r.root, filepath.FromSlash(b.File)): file},
	})
	if err != nil {
		return "", err
	}
	name := filepath.Join(r.folder, b.Name+".json")
	return name, errors.Join(os.WriteFile(file, source, 0o600), os.WriteFile(name, list, 0o600))
}

// test runs the tests of some kinds in one package and returns those that failed.
// overlay may be empty.
func (r *Runner) test(ctx context.Context, pkg string, kinds []Kind, overlay string) ([]string, error) {
	chosen := selection(pkg, kinds)
	if chosen == nil {
		return nil, nil
	}
	args := append([]string{"test", "-json", "-vet=off", "-count=1", "-timeout=" + limit.String(), "-overlay=" + overlay}, chosen...)
	args = append(args, "./"+pkg)
	if r.drawsInputs(pkg) {
		args = append(args, "-rapid.seed=1", "-rapid.nofailfile", "-rapid.shrinktime=0s")
	}
	ctx, cancel := context.WithTimeout(ctx, 4*limit)
	defer cancel()
	// A bug may ask for memory without end: that must not be the machine's problem.
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v 8000000 2>/dev/null; exec go "$@"`, "go"}, args...)...)
	cmd.Dir = r.root
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState != nil {
		r.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	failed, built := failures(stdout.Bytes())
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: the go command is not done: %w", pkg, ctx.Err())
	case !built || err != nil && failed == nil:
		return nil, fmt.Errorf("%s: no test was run, mend the bug so that it builds: %v\n%s%s", pkg, err, &stderr, last(stdout.Bytes()))
	}
	return failed, nil
}

// drawsInputs reports whether a package's tests have the flags of the library that
// draws random inputs.
func (r *Runner) drawsInputs(pkg string) bool {
	files, _ := filepath.Glob(filepath.Join(r.root, filepath.FromSlash(pkg), "*_test.go"))
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(`"pgregory.net/rapid"`)) {
			return true
		}
	}
	return false
}

// failures reads the events of go test -json: the tests that failed, subtests left
// out, and whether the package was built. Tests that were running when the package
// crashed have failed; a package that failed outside of its tests stands for itself.
func failures(events []byte) (failed []string, built bool) {
	built = true
	packageFailed := false
	var running []string
	for line := range bytes.Lines(events) {
		var e struct{ Action, Test, FailedBuild string }
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch {
		case e.Action == "build-fail", e.FailedBuild != "":
			built = false
		case strings.Contains(e.Test, "/"):
		case e.Action == "run":
			running = append(running, e.Test)
		case e.Action == "fail" && e.Test == "":
			packageFailed = true
		case e.Action == "fail":
			failed = append(failed, e.Test)
			fallthrough
		case e.Action == "pass" || e.Action == "skip":
			running = slices.DeleteFunc(running, func(test string) bool { return test == e.Test })
		}
	}
	switch {
	case packageFailed && len(running) > 0:
		failed = append(failed, running...)
	case packageFailed && failed == nil:
		failed = []string{"(crash)"}
	}
	return failed, built
}

// last returns the end of an output.
func last(text []byte) []byte { return text[max(0, len(text)-2000):] }
