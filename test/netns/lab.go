// Package netns runs the kdht program on hosts of their own: network namespaces of the
// kernel, joined by a bridge, whose links go down and come back as those of machines do.
//
//	lab, err := netns.New(ctx, 4)
//	defer lab.Close()
//	err = lab.Link(3, false)             // the fourth host's cable is pulled
//
// It needs Linux, the program ip of iproute2, and root. What is simulated elsewhere
// (test/link, routing/sim) is real here: the kernel's own TCP, which sends again and
// again what nobody acknowledges, its neighbour tables, and errors of unreachable hosts.
//
// The invariant: nothing leaves the namespaces, whose only network is 10.99.7.0/24; and
// when Close has returned, none of them is left.
package netns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ErrNoPrivilege means that this process may not make network namespaces.
var ErrNoPrivilege = errors.New("netns: no network namespace can be made: run as root, with iproute2 installed")

// Lab is hosts on one local network.
type Lab struct {
	name  string
	hosts int
}

// New makes a lab. Its hosts are numbered from 0.
func New(ctx context.Context, hosts int) (*Lab, error) {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	l := &Lab{name: "kdht-" + hex.EncodeToString(id[:])}
	if err := ip(ctx, "netns", "add", l.hub()); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoPrivilege, err)
	}
	err := l.inHub(ctx, "link", "add", "name", "lan0", "type", "bridge")
	if err == nil {
		err = l.inHub(ctx, "link", "set", "lan0", "up")
	}
	for err == nil && l.hosts < hosts {
		err = l.add(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// add makes one more host and plugs it in.
func (l *Lab) add(ctx context.Context) error {
	i := l.hosts
	if err := ip(ctx, "netns", "add", l.host(i)); err != nil {
		return err
	}
	l.hosts++
	return errors.Join(
		l.inHub(ctx, "link", "add", "name", port(i), "type", "veth", "peer", "name", "eth0", "netns", l.host(i)),
		l.inHub(ctx, "link", "set", port(i), "master", "lan0", "up"),
		ip(ctx, "-n", l.host(i), "addr", "add", l.Addr(i)+"/24", "dev", "eth0"),
		ip(ctx, "-n", l.host(i), "link", "set", "lo", "up"),
		ip(ctx, "-n", l.host(i), "link", "set", "eth0", "up"))
}

// Addr is the IP address of a host.
func (l *Lab) Addr(i int) string { return fmt.Sprintf("10.99.7.%d", i+1) }

// Link takes the bridge's side of a host's link down, or up again. The host itself sees
// that it has no carrier.
func (l *Lab) Link(ctx context.Context, i int, up bool) error {
	if up {
		return l.inHub(ctx, "link", "set", port(i), "up")
	}
	return l.inHub(ctx, "link", "set", port(i), "down")
}

// Vanish removes a host's link for good: what it still sends reaches nobody.
func (l *Lab) Vanish(ctx context.Context, i int) error { return l.inHub(ctx, "link", "del", port(i)) }

// Command is a program to be run on a host. Its process is the program's own.
func (l *Lab) Command(ctx context.Context, i int, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", l.host(i), program}, args...)...)
}

// Close removes the namespaces, and with them all links. The programs that run there
// must have ended.
func (l *Lab) Close() error {
	err := ip(context.Background(), "netns", "del", l.hub())
	for i := range l.hosts {
		err = errors.Join(err, ip(context.Background(), "netns", "del", l.host(i)))
	}
	return err
}

func (l *Lab) hub() string { return l.name + "-hub" }

func (l *Lab) host(i int) string { return fmt.Sprintf("%s-%d", l.name, i) }

// port is the hub's end of a host's link.
func port(i int) string { return fmt.Sprintf("port%d", i) }

func (l *Lab) inHub(ctx context.Context, args ...string) error {
	return ip(ctx, append([]string{"-n", l.hub()}, args...)...)
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("netns: ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
