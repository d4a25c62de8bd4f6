package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	strangerID = "12D3KooWGE3zjj1tZAk8iRGVGJAi66VRVLqLFvCkowzX9dj1kWyP"
	noKey      = "/imm/0000000000000000000000000000000000000000000000000000000000000000"
)

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "/ip4/127.0.0.1/tcp/" + port(l)
}

func port(l net.Listener) string {
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}

// What goes wrong without any node.
func TestFailuresAlone(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	open := filepath.Join(u.home, "open")
	for name, mode := range map[string]os.FileMode{"open": 0o644, "garbage": 0o600} {
		if err := os.WriteFile(filepath.Join(u.home, name), []byte("no key"), mode); err != nil {
			t.Fatal(err)
		}
	}
	nobody := closedPort(t) + "/p2p/" + strangerID
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"status", 1, "no node runs here"},
		{"get " + noKey, 1, "kdht run"},
		{"status --name other", 1, "no node runs here"},
		{"status --control nowhere", 1, "no node runs here"},
		{"status --control open", 2, "no control socket"},
		{"id", 1, "kdht run"},
		{"nonsense", 2, "no command"},
		{"statu", 2, "did you mean status"},
		{"status extra", 2, "takes no arguments, and got 1 argument"},
		{"throttle", 1, "no node runs here"},
		{"throttle --top -1", 2, "--top"},
		{"throttle nonsense", 2, "no arguments but set and release"},
		{"throttle set", 2, "nothing to set"},
		{"throttle set --total many", 2, "give a number"},
		{"throttle set --total -5", 2, "give a number"},
		{"throttle set --total 5", 1, "no node runs here"},
		{"throttle release", 2, "one PEER or SUBNET"},
		{"throttle release " + strangerID, 1, "no node runs here"},
		{"get", 2, "one KEY"},
		{"get a b", 2, "one KEY"},
		{"get key", 2, "no key"},
		{"get --quorum -1 " + noKey, 2, "--quorum"},
		{"get --quorum x " + noKey, 2, "quorum"},
		{"get --timeout 0s " + noKey, 2, "--timeout"},
		{"get --nonsense " + noKey, 2, "unknown flag"},
		{"status --log-level loud", 2, "log level"},
		{"put", 2, "nothing to store"},
		{"put nofile", 2, `--text "nofile"`},
		{"put --text x file", 2, "give one"},
		{"put --text x --key a --mut b", 2, "give one"},
		{"put --key a b c", 2, "KEY VALUE"},
		{"put " + noKey, 2, "a key without a value"},
		{"put key value", 2, "no key"},
		{"provide nofile", 2, "neither a CID nor a file"},
		{"find-providers x", 2, "neither a CID nor a file"},
		{"find-peer x", 2, "no peer id"},
		{"ping x", 2, "no peer id"},
		{"ping -n 0 " + strangerID, 2, "--count"},
		{"get " + noKey + " --bootstrap nonsense", 2, "no multiaddr"},
		{"get " + noKey + " --bootstrap /ip4/127.0.0.1/tcp/1", 2, "end in /p2p/"},
		{"get " + noKey + " --control s --bootstrap " + nobody, 2, "either it"},
		{"get " + noKey + " --protocol-prefix kdht --bootstrap " + nobody, 2, "protocol prefix"},
		{"get " + noKey + " --bootstrap " + nobody, 4, "nothing listens there"},
		{"ping " + strangerID + " --bootstrap " + nobody, 4, "nothing listens there"},
		{"run --listen nonsense", 2, "no multiaddr"},
		{"run --listen /ip4/192.0.2.1/tcp/0", 1, "no such address"},
		{"run --bootstrap nonsense", 2, "no multiaddr"},
		{"run --mode nonsense", 2, "no mode"},
		{"run --profile nonsense", 2, "use private, public or lan"},
		{"run --profile public --bootstrap /ip4/127.0.0.1/tcp/1/p2p/" + strangerID, 2, "outside a public network"},
		{"run --profile lan --bootstrap /ip4/192.0.2.1/tcp/1/p2p/" + strangerID, 2, "outside a lan network"},
		{"run --network nonsense", 2, "use private, amino, lan or dual"},
		{"run --network amino --protocol-prefix /x", 2, "leave out --protocol-prefix"},
		{"run --network amino --bootstrap /ip4/127.0.0.1/tcp/1/p2p/" + strangerID, 2, "outside a public network"},
		{"run --network lan --bootstrap /ip4/192.0.2.1/tcp/1/p2p/" + strangerID, 2, "outside a lan network"},
		{"get " + noKey + " --network nonsense --bootstrap " + nobody, 2, "use private, amino, lan or dual"},
		{"run --name Nonsense", 2, "no name"},
		{"run --protocol-prefix nonsense", 2, "protocol prefix"},
		{"run --key open", 1, "chmod 600 open"},
		{"run --key garbage", 1, "holds no libp2p private key"},
		{"run --key open/key", 1, "not a directory"},
		{"run --control open", 2, "no socket"},
		{"run --control open/s", 1, "--control"},
		{"dev -n 1", 2, "choose 2 to"},
		{"dev -n 100000", 2, "choose 2 to"},
		{"dev --bucket-size 0", 2, "--bucket-size"},
		{"dev --file nofile", 2, "no file"},
	} {
		r := u.kdht(strings.Fields(c.args)...)
		r.fails(c.code, c.says)
		if r.out != "" {
			t.Errorf("kdht %s wrote %q to standard output", c.args, r.out)
		}
	}
	if b, err := os.ReadFile(open); err != nil || string(b) != "no key" {
		t.Errorf("the file that is no key is now %q", b)
	}
}

// What goes wrong with a node that knows nobody, and between two.
func TestFailuresWithNodes(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	first, join := u.node()
	addr := join[1]
	u.kdht("put", "--text", "alone").fails(4, "on this node only")
	u.kdht("provide", program).fails(4, "on this node only")
	u.kdht("get", noKey).fails(4, "no peers")
	u.kdht("find-providers", "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq").fails(4, "no peers")
	u.kdht("closest", "x").fails(4, "no peers")
	u.kdht("find-peer", strangerID).fails(4, "no peers")
	u.kdht("ping", strings.TrimSpace(u.kdht("id").ok())).fails(2, "this node itself")
	u.kdht("ping", closedPort(t)+"/p2p/"+strangerID).fails(1, "nothing listens there")

	listened, _, _ := strings.Cut(addr, "/p2p/")
	u.kdht("run", "--listen", listened).fails(1, "the port is in use")
	u.kdht("run", "--name", "node").fails(1, "running already")
	u.kdht("status", "--bootstrap", listened+"/p2p/"+strangerID).fails(4, "another peer answers there")
	u.kdht("status", "--bootstrap", addr, "--protocol-prefix", "/other").fails(4, "--protocol-prefix /kdht")

	second, _ := u.node(join...)
	second.err.await(t, "joined")
	u.kdht("get", noKey).fails(3, "not found")
	u.kdht("find-providers", "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq").fails(3, "not found")
	u.kdht("find-peer", strangerID).fails(3, "not found")
	u.kdht("ping", strangerID).fails(3, "not found")
	u.kdht("put", "/app/key", "value").fails(2, "keys begin with /imm/")
	u.kdht("get", "/app/key").fails(2, "keys begin with /imm/")
	u.kdht("put", noKey, "value").fails(2, "not the key of this value")
	u.kdht("put", "/mut/"+strangerID+"/x", "value").fails(2, "not signed")
	u.kdht("put", "/pk/"+strangerID, "value").fails(2, "")
	u.kdhtWith(strings.Repeat("x", 64<<10+1), "put", "-").fails(2, "at most 65536")
	u.kdhtWith(strings.Repeat("x", 5<<20), "put", "-").fails(2, "or more")
	u.kdhtWith(strings.Repeat("x", 64<<10), "put", "-").ok()
	u.kdht("get", "--timeout", "1ns", noKey).fails(5, "--timeout")
	_ = first
}

// A peer that takes the connection and says nothing.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u := newUser(t)
	addr := "/ip4/127.0.0.1/tcp/" + port(l) + "/p2p/" + strangerID
	u.kdht("get", noKey, "--timeout", "1s", "--bootstrap", addr).fails(4, "cannot reach "+addr)
}

// A node that cannot join says so, goes on trying, and joins when it can.
func TestJoinsWhenItCan(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	first, join := u.node()
	addr, _, _ := strings.Cut(join[1], "/p2p/")
	first.end(os.Interrupt)
	second, _ := u.node(append(join, "--name", "second")...)
	second.err.await(t, "not joined yet: cannot reach "+join[1])
	third := u.start("run", "--listen", addr) // the first one's key and address
	third.out.await(t, join[1])
	second.err.await(t, "joined, knows")
}
