package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// program is the built binary.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kdht")
	if err == nil {
		program = filepath.Join(dir, "kdht")
		var out []byte
		out, err = exec.Command("go", "build", "-o", program, ".").CombinedOutput()
		os.Stderr.Write(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building the program:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// patience bounds every run of the program in these tests.
const patience = 50 * time.Second

// user is somebody with a home of their own.
type user struct {
	t    *testing.T
	home string
	env  []string
}

func newUser(t *testing.T) *user {
	t.Helper()
	home, err := os.MkdirTemp("", "k") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	env := []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + filepath.Join(home, "run"), "PATH=" + os.Getenv("PATH")}
	return &user{t: t, home: home, env: env}
}

func (u *user) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	u.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = u.env, u.home
	return cmd
}

// result is how one run of the program ended.
type result struct {
	t           *testing.T
	args        []string
	code        int
	out, stderr string
}

// kdht runs the program to its end.
func (u *user) kdht(args ...string) *result { return u.kdhtWith("", args...) }

// kdhtWith is kdht with something on standard input.
func (u *user) kdhtWith(in string, args ...string) *result {
	u.t.Helper()
	cmd := u.command(args...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatalf("kdht %q: %v", args, err)
	}
	return &result{t: u.t, args: args, code: cmd.ProcessState.ExitCode(), out: out.String(), stderr: stderr.String()}
}

// ok checks that the run succeeded and returns what it wrote to standard output.
func (r *result) ok() string {
	r.t.Helper()
	if r.code != 0 {
		r.t.Fatalf("kdht %q ended with %d:\n%s%s", r.args, r.code, r.out, r.stderr)
	}
	return r.out
}

// fails checks that the run ended with a code and one line that says something.
func (r *result) fails(code int, says string) {
	r.t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	if r.code != code || !strings.HasPrefix(last, "kdht: ") || !strings.Contains(last, says) {
		r.t.Errorf("kdht %q ended with %d, want %d, and %q:\n%s%s", r.args, r.code, code, says, r.out, r.stderr)
	}
	for _, line := range lines[:len(lines)-1] {
		if !strings.Contains(line, " answered") { // the report may come before
			r.t.Errorf("kdht %q: more than one line of error:\n%s", r.args, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "goroutine ") {
		r.t.Errorf("kdht %q: a stack trace:\n%s", r.args, r.stderr)
	}
}

// object parses the only line of the output.
func (r *result) object() map[string]any {
	r.t.Helper()
	all := r.objects()
	if len(all) != 1 {
		r.t.Fatalf("kdht %q: %d lines of JSON, want one:\n%s", r.args, len(all), r.out)
	}
	return all[0]
}

// objects parses every line of the output.
func (r *result) objects() []map[string]any {
	r.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(r.ok()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			r.t.Fatalf("kdht %q: %v in %q", r.args, err, line)
		}
		all = append(all, v)
	}
	return all
}

// running is a program that has not ended.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	out *lines
	err *lines
}

// start starts the program and leaves it running.
func (u *user) start(args ...string) *running {
	u.t.Helper()
	r := &running{t: u.t, cmd: u.command(args...)}
	out, err1 := r.cmd.StdoutPipe()
	stderr, err2 := r.cmd.StderrPipe()
	if err := errors.Join(err1, err2, r.cmd.Start()); err != nil {
		u.t.Fatalf("kdht %q: %v", args, err)
	}
	r.out, r.err = readLines(out), readLines(stderr)
	u.t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			r.wait()
		}
	})
	return r
}

// end sends a signal and returns the exit code.
func (r *running) end(s os.Signal) int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
	return r.wait()
}

func (r *running) wait() int {
	<-r.out.done
	<-r.err.done
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// lines collects what a program writes, as it writes it.
type lines struct {
	done chan struct{}

	mu   sync.Mutex
	all  []string
	more chan struct{} // closed when there is more
}

func readLines(r io.Reader) *lines {
	l := &lines{done: make(chan struct{}), more: make(chan struct{})}
	go func() {
		defer close(l.done)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.mu.Lock()
			l.all = append(l.all, s.Text())
			close(l.more)
			l.more = make(chan struct{})
			l.mu.Unlock()
		}
	}()
	return l
}

// await returns the first line that contains text, as soon as there is one.
func (l *lines) await(t *testing.T, text string) string {
	t.Helper()
	for {
		l.mu.Lock()
		all, more := l.all, l.more
		l.mu.Unlock()
		for _, line := range all {
			if strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-more:
		case <-l.done:
			l.mu.Lock()
			last := len(l.all) == len(all)
			l.mu.Unlock()
			if last {
				t.Fatalf("no line with %q in:\n%s", text, strings.Join(all, "\n"))
			}
		}
	}
}
