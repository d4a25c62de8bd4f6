//go:build unix

package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Session runs the blocks of one document, one after the other, in one folder. Close ends what still runs.
type Session struct {
	Dir string   // where blocks run
	Env []string // the whole environment of blocks

	names   []string // what "as" has named so far, and what it stands for, in turn
	running []*shell
}

// Run runs one block to its end, or in the background until it says what its mark waits for. The error shows the output.
func (s *Session) Run(ctx context.Context, b Block) error {
	if !b.Mark.Run {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.Mark.Timeout)
	defer cancel()
	sh, err := s.start(strings.NewReplacer(s.names...).Replace(b.Text), b.Mark.Until)
	if err != nil {
		return err
	}
	if b.Mark.Background {
		s.running = append(s.running, sh)
		return s.await(ctx, sh, b.Mark)
	}
	select {
	case <-sh.ended:
	case <-ctx.Done():
		sh.stop()
		return fmt.Errorf("still running after %v:\n%s", b.Mark.Timeout, sh.text())
	}
	if sh.err != nil {
		return fmt.Errorf("%w:\n%s", sh.err, sh.text())
	}
	if b.Mark.Prints != nil && !b.Mark.Prints.MatchString(sh.text()) {
		return fmt.Errorf("the output does not match %q:\n%s", b.Mark.Prints, sh.text())
	}
	return nil
}

// await waits until a background block has said what its mark waits for.
func (s *Session) await(ctx context.Context, sh *shell, m Mark) error {
	select {
	case <-sh.said:
	case <-sh.ended:
		return fmt.Errorf("ended before its output matched %q (%v):\n%s", m.Until, sh.err, sh.text())
	case <-ctx.Done():
		return fmt.Errorf("its output did not match %q within %v:\n%s", m.Until, m.Timeout, sh.text())
	}
	if m.As != "" {
		caught := m.Until.FindStringSubmatch(sh.text())
		s.names = append(s.names, m.As, caught[len(caught)-1])
	}
	return nil
}

// Close ends the blocks that run in the background, the latest first.
func (s *Session) Close() {
	for i := len(s.running) - 1; i >= 0; i-- {
		s.running[i].stop()
	}
	s.running = nil
}

// shell is one running block: a process group of its own.
type shell struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended; err is set before
	err   error
	said  chan struct{} // closed when the output matches until

	mu    sync.Mutex
	out   bytes.Buffer
	until *regexp.Regexp // nil once it matched
}

func (s *Session) start(text string, until *regexp.Regexp) (*shell, error) {
	sh := &shell{ended: make(chan struct{}), said: make(chan struct{}), until: until}
	sh.cmd = exec.Command("bash", "-euo", "pipefail", "-c", text)
	sh.cmd.Dir, sh.cmd.Env = s.Dir, s.Env
	sh.cmd.Stdout, sh.cmd.Stderr = sh, sh
	sh.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	sh.cmd.WaitDelay = 5 * time.Second
	if err := sh.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting bash: %w", err)
	}
	go func() {
		sh.err = sh.cmd.Wait()
		close(sh.ended)
	}()
	return sh, nil
}

// Write takes the block's output.
func (sh *shell) Write(b []byte) (int, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.out.Write(b)
	if sh.until != nil && sh.until.Match(sh.out.Bytes()) {
		sh.until = nil
		close(sh.said)
	}
	return len(b), nil
}

func (sh *shell) text() string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.out.String()
}

// stop ends the process group: first as Ctrl-C would, after ten seconds for certain.
func (sh *shell) stop() {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		_ = syscall.Kill(-sh.cmd.Process.Pid, signal) // it may have ended by itself
		select {
		case <-sh.ended:
			return
		case <-time.After(10 * time.Second):
		}
	}
}

// Environment is that of the calling process with a home of its own below dir, so that blocks find no settings and leave nothing
// behind. Go's caches and settings stay where they are.
func Environment(dir string) ([]string, error) {
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	names := []string{"GOENV", "GOCACHE", "GOMODCACHE", "GOPATH"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for its caches: %w", err)
	}
	var env []string
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.HasPrefix(name, "KDHT_") && !strings.HasPrefix(name, "XDG_") {
			env = append(env, pair)
		}
	}
	for i, value := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return append(env, "HOME="+home), nil
}

// Copy copies the named files of the tree at root into dir.
func Copy(root, dir string, names []string) error {
	for _, name := range names {
		from, to := filepath.Join(root, filepath.FromSlash(name)), filepath.Join(dir, filepath.FromSlash(name))
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // tracked, and deleted in the working tree
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}
