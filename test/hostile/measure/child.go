package measure

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/kdht/kdht/test/hostile"
)

// roleVar names the role of a child process; rolePlan holds a target's Settings as
// JSON or an attack's arguments.
const (
	roleVar    = "KDHT_HOSTILE_ROLE"
	rolePlan   = "KDHT_HOSTILE_PLAN"
	roleTarget = "target"
	roleAttack = "attack"
)

// Child turns this process into the node or the attacker that it was started as,
// and does not return then. In any other process it does nothing.
func Child() {
	switch os.Getenv(roleVar) {
	case roleTarget:
		if err := runTarget(os.Getenv(rolePlan), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "target:", err)
			os.Exit(1)
		}
		os.Exit(0)
	case roleAttack:
		ctx, stop := context.WithCancel(context.Background())
		go func() { // the parent's end is ours
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
		os.Exit(hostile.Command(ctx, strings.Split(os.Getenv(rolePlan), "\n"), os.Stdout, os.Stderr))
	}
}

// process is a child: lines go in and come out.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte
	errs  *tail
	ended chan struct{} // closed when it has ended
	err   error         // how, after ended

	mu sync.Mutex // one question at a time
}

// start starts this program again in a role.
func start(role, plan string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("measure: which program is this: %w", err)
	}
	p := &process{cmd: exec.Command(self), lines: make(chan []byte, 64), errs: &tail{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), roleVar+"="+role, rolePlan+"="+plan)
	p.cmd.Stderr = p.errs
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("measure: start a process: %w", err)
	}
	go p.read(out)
	return p, nil
}

func (p *process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.lines <- append([]byte(nil), lines.Bytes()...)
	}
	close(p.lines)
	p.err = p.cmd.Wait()
	close(p.ended)
}

// next waits for the next line that is JSON and reads it into v.
func (p *process) next(ctx context.Context, v any) error {
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				<-p.ended
				return fmt.Errorf("measure: the process has ended: %v; it said: %s", p.err, p.errs)
			}
			if err := json.Unmarshal(line, v); err != nil {
				return fmt.Errorf("measure: the process said %q: %w", line, err)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("measure: no answer of the process: %w", ctx.Err())
		}
	}
}

// ask sends a line and waits for the answer.
func (p *process) ask(ctx context.Context, question string, v any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return fmt.Errorf("measure: ask the process: %w; it said: %s", err, p.errs)
	}
	return p.next(ctx, v)
}

// alive reports whether the process is running.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop ends the process: first kindly, after 5 s by force.
func (p *process) stop() {
	_ = p.in.Close()
	go func() {
		for range p.lines {
		}
	}()
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	if len(t.end) > 4000 {
		t.end = append([]byte(nil), t.end[len(t.end)-4000:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}
