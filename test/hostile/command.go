package hostile

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// Event is one line of the program's --json output: an attack begins, or has a
// result.
type Event struct {
	Begins string  `json:"begins,omitempty"`
	Result *Result `json:"result,omitempty"`
}

// Command is the program test/hostile/attack. It returns the exit status: 0 when
// the attacks were made, whatever they did; 1 when one could not be; 2 for wrong
// usage.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("attack", flag.ContinueOnError)
	flags.SetOutput(stderr)
	target := flags.String("target", "", "full `multiaddr` of the node to attack, on loopback")
	names := flags.String("attack", "", "`names` of attacks, separated by commas, or all; see --list")
	long := flags.Duration("for", 10*time.Second, "how long each attack takes at most, without its preparations")
	seed := flags.Uint64("seed", 1, "seed of the attackers' identities and of what they send")
	id := flags.String("protocol", "/kdht/kad/1.0.0", "protocol `id` of the network")
	list := flags.Bool("list", false, "list the attacks")
	asJSON := flags.Bool("json", false, "print one JSON object for each event")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *list:
		for _, a := range Attacks {
			fmt.Fprintf(stdout, "%-15s %-4s %s\n", a.Name, a.Threat, a.About)
		}
		return 0
	}
	at, err := ParseTarget(*target, protocol.ID(*id))
	if err == nil && (*long <= 0 || *long > 3*time.Hour) {
		err = fmt.Errorf("--for %v: give more than nothing and 3h at most", *long)
	}
	var chosen []Attack
	if err == nil {
		chosen, err = choose(*names)
	}
	if err != nil {
		fmt.Fprintln(stderr, "attack:", err)
		return 2
	}
	p := printer{stdout, *asJSON}
	for _, a := range chosen {
		r, err := Run(ctx, a, at, Options{For: *long, Seed: *seed, Begun: func() { p.print(Event{Begins: a.Name}) }})
		p.print(Event{Result: &r})
		if err != nil {
			fmt.Fprintf(stderr, "attack: %s: %v\n", a.Name, err)
			return 1
		}
	}
	return 0
}

// choose returns the attacks of a list of names.
func choose(names string) (chosen []Attack, err error) {
	if names == "all" {
		return Attacks, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		a, err := Find(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, a)
	}
	return chosen, nil
}

type printer struct {
	to     io.Writer
	asJSON bool
}

func (p printer) print(e Event) {
	switch {
	case p.asJSON:
		_ = json.NewEncoder(p.to).Encode(e)
	case e.Result == nil:
		fmt.Fprintf(p.to, "%s begins\n", e.Begins)
	default:
		fmt.Fprintf(p.to, "%s, %.1f s\n", e.Result.Attack, e.Result.Took.Seconds())
		var names []string
		for name := range e.Result.Counts {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(p.to, "  %-40s %d\n", name, e.Result.Counts[name])
		}
	}
}
