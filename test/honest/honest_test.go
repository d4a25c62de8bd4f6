package honest_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/kdht/kdht/test/honest"
)

// network starts that many nodes.
func network(t *testing.T, count int) *honest.Network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := honest.Start(ctx, count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// few nodes are asked by one provider for more than their limits allow, unless the
// machine is slow; many share what it can do.
const few, many = 6, 20

// TestAnnounce announces more keys than a peer's burst allows, KDHT_HONEST of them
// if that is set, and finds every record everywhere, of very many all but one in ten
// thousand: the limits of the nodes delay the provider and lose nothing.
func TestAnnounce(t *testing.T) {
	nodes, keys := few, 1000
	if text := os.Getenv("KDHT_HONEST"); text != "" {
		var err error
		if keys, err = strconv.Atoi(text); err != nil || keys < 1 {
			t.Fatalf("KDHT_HONEST=%s: give how many keys, such as 100000", text)
		}
		nodes = many
	}
	n := network(t, nodes)
	began := time.Now()
	a, err := n.Announce(t.Context(), keys, func(done int) {
		if done%10_000 == 0 {
			t.Logf("%d keys after %v", done, time.Since(began).Round(time.Second))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d keys to %d nodes in %v, %.0f keys and %.0f records a second: %+v",
		a.Keys, nodes, a.Took.Round(time.Millisecond), float64(a.Keys)/a.Took.Seconds(), float64(a.Held)/a.Took.Seconds(), *a)
	if a.Failed > a.Keys/1000 {
		t.Errorf("%d of %d announcements failed at first: %v", a.Failed, a.Keys, a.Error)
	}
	// All nodes are in one process here, and where others keep the processor busy for
	// minutes some are out of the provider's table for moments.
	missing, least := 0, nodes
	if keys >= 10_000 {
		missing, least = a.Due/10_000, nodes/2
	}
	if a.Held < a.Due-missing || a.Least < least {
		t.Errorf("%d of %d records are held; one key by %d of %d nodes", a.Held, a.Due, a.Least, nodes)
	}
	if a.Lost > 0 || a.Evicted > 0 {
		t.Errorf("%d requests of the provider were lost, and it has dropped %d of the nodes", a.Lost, a.Evicted)
	}
	if r := a.Refused; r.Limited+r.Shed+r.Turned > 0 {
		t.Errorf("the nodes have refused what they should have delayed: %+v", r)
	}
	if a.Refused.Paused == 0 {
		t.Log("nobody was made to wait: this machine, busy as it is, asks for less than the limits admit")
	}
}

// TestCrawl walks every table in the bursts that crawlers make; of a hundred nodes
// if KDHT_HONEST is set.
func TestCrawl(t *testing.T) {
	nodes := many
	if os.Getenv("KDHT_HONEST") != "" {
		nodes = 100
	}
	n := network(t, nodes)
	c, err := n.Crawl(t.Context(), 1, []int{16, 400, 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d nodes in %v: %+v", nodes, c.Took.Round(time.Millisecond), *c)
	if c.Reset > 0 || c.Answers != c.Requests {
		t.Errorf("%d streams were reset, %d of %d requests answered: %v", c.Reset, c.Answers, c.Requests, c.Error)
	}
	if c.Least < many-1 {
		t.Errorf("a node told of %d others, %d and more are known to each", c.Least, many-1)
	}
	if r := c.Refused; r.Limited+r.Shed+r.Turned > 0 {
		t.Errorf("the nodes have refused what they should have delayed: %+v", r)
	}
}
