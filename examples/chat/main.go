// Chat is a room without a server: who enters announces the room's name, finds the
// others by it, and talks to each over a stream.
//
//	go run ./examples/chat                                 a room of three, and what they say
//	go run ./examples/chat -name ada                       the first of a room; prints its address
//	go run ./examples/chat -name bob -join /ip4/…/p2p/…    another
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/kdht/kdht"
	"github.com/libp2p/go-libp2p/core/host"
)

func main() {
	name := flag.String("name", "", "`NAME` to go by; without one, three of them talk to each other")
	room := flag.String("room", "lobby", "`NAME` of the room")
	join := flag.String("join", "", "`MULTIADDR` of anybody in the network, /p2p/ID included")
	flag.Parse()
	var err error
	if *name == "" {
		err = tour(*room)
	} else {
		err = talk(*name, *room, *join)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// talk is one person at the keyboard.
func talk(name, room, join string) error {
	var known []kdht.Option
	if join != "" {
		known = append(known, kdht.BootstrapAddrs(join))
	}
	m, err := enter(name, room, printTo(os.Stdout), known...)
	if err != nil {
		return err
	}
	defer m.leave()
	for _, addr := range m.host.Addrs() {
		fmt.Printf("join me with -join %s/p2p/%s\n", addr, m.host.ID())
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := m.say(ctx, lines.Text())
		if cancel(); err != nil {
			fmt.Println("nobody hears:", err)
		}
	}
	return lines.Err()
}

// tour has three people who know nothing of each other but the room and one address.
func tour(room string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	heard := make(chan string, 8)
	hear := func(from, line string) { heard <- from + ": " + line }
	var known []kdht.Option
	for _, name := range []string{"ada", "bob", "eve"} {
		m, err := enter(name, room, hear, known...)
		if err != nil {
			return err
		}
		defer m.leave()
		if known == nil {
			known = append(known, kdht.BootstrapPeers(*host.InfoFromHost(m.host)))
			continue
		}
		reached, err := m.say(ctx, "hello, I am "+name)
		if err != nil {
			return err
		}
		for range reached {
			select {
			case line := <-heard:
				fmt.Println(line)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		fmt.Printf("%s was heard by %d\n", name, reached)
	}
	return nil
}

func printTo(w io.Writer) func(from, line string) {
	return func(from, line string) { fmt.Fprintf(w, "%s: %q\n", from, line) }
}
