package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const oneWay = 40 * time.Millisecond

// either is a delay that differs by direction.
func either(from, to netip.Addr) time.Duration {
	if from.Less(to) {
		return oneWay
	}
	return 2 * oneWay
}

// connected returns both ends of a connection from place 0 to place 1, in memory.
func connected(t *testing.T, n *Network) (dialed, accepted net.Conn) {
	t.Helper()
	m := n.wires.(*memory)
	l, err := m.listen(netip.AddrPortFrom(n.Place(1), 0))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	dialed, err = dialer{n, n.Place(0)}.dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 3*oneWay || n.cond.Loss == 0 && took > 3*oneWay {
		t.Errorf("connecting took %v instead of %v", took, 3*oneWay)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

func TestBytesArriveInOrderAndNotSooner(t *testing.T) {
	for _, loss := range []float64{0, 0.2} {
		synctest.Test(t, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			n := NewVirtual(Conditions{Delay: either, Loss: loss, Seed: seed})
			defer n.Close()
			a, b := connected(t, n)
			var mu sync.Mutex
			var sent []byte
			times := map[int]time.Time{} // when so many bytes had been written
			go func() {
				for range 300 {
					chunk := make([]byte, 1+random.IntN(20_000))
					for i := range chunk {
						chunk[i] = byte(random.Uint32())
					}
					mu.Lock()
					sent = append(sent, chunk...)
					times[len(sent)] = time.Now()
					mu.Unlock()
					if _, err := a.Write(chunk); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
				}
				a.Close()
			}()
			var got []byte
			for buf := make([]byte, 7000); ; {
				k, err := b.Read(buf)
				got = append(got, buf[:k]...)
				mu.Lock()
				at, end := times[len(got)]
				mu.Unlock()
				if end && time.Since(at) < oneWay {
					t.Fatalf("byte %d arrived after %v", len(got), time.Since(at))
				}
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, sent) {
				t.Errorf("%d bytes were sent, %d others arrived", len(sent), len(got))
			}
		})
	}
}

func TestSilencedConnectionTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewVirtual(Conditions{Delay: either})
		defer n.Close()
		a, b := connected(t, n)
		n.Silence(n.Place(0), true)
		if _, err := a.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		a.Close()
		_ = b.SetReadDeadline(time.Now().Add(time.Hour))
		buf := make([]byte, 10)
		if k, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("from a silent place came %q, %v", buf[:k], err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := (dialer{n, n.Place(1)}).dial(ctx, netip.AddrPortFrom(n.Place(0), 1).String()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialing a silent place ended with %v", err)
		}
		n.Silence(n.Place(0), false)
		_ = b.SetReadDeadline(time.Time{})
		all, err := io.ReadAll(b)
		if string(all) != "late" || err != nil {
			t.Errorf("what was sent to be sent again arrived as %q, %v", all, err)
		}
	})
}

// Who does not read makes who writes wait, until its deadline.
func TestWindowIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewVirtual(Conditions{Delay: either})
		defer n.Close()
		a, b := connected(t, n)
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		written := 0
		for {
			k, err := a.Write(make([]byte, 64<<10))
			if written += k; err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
				break
			}
		}
		if written != window {
			t.Errorf("%d bytes were taken that nobody has read, instead of %d", written, window)
		}
		a.Close()
		if all, err := io.ReadAll(b); len(all) != written || err != nil {
			t.Errorf("%d bytes of %d arrived, %v", len(all), written, err)
		}
	})
}

func TestDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewVirtual(Conditions{Delay: either, Loss: 0.3, Seed: 7})
		defer n.Close()
		open := func(i int) *packets {
			place := n.Place(i)
			real, err := n.wires.packets(net.UDPAddrFromAddrPort(netip.AddrPortFrom(place, 0)))
			if err != nil {
				t.Fatal(err)
			}
			return newPackets(n, place, real)
		}
		a, b := open(0), open(1)
		defer a.Close()
		defer b.Close()
		count := func(from, to *packets, delay time.Duration) (arrived int) {
			began := time.Now()
			for i := range 200 {
				if _, err := from.WriteTo([]byte{byte(i)}, to.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			_ = to.SetReadDeadline(time.Now().Add(time.Second))
			last := -1
			for buf := make([]byte, 2); ; arrived++ {
				_, sender, err := to.ReadFrom(buf)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					return arrived
				}
				if err != nil || sender.String() != from.LocalAddr().String() {
					t.Fatalf("from %v, %v", sender, err)
				}
				if took := time.Since(began); took != delay || int(buf[0]) <= last {
					t.Fatalf("datagram %d arrived after %v, behind %d", buf[0], took, last)
				}
				last = int(buf[0])
			}
		}
		for _, way := range []struct {
			from, to *packets
			delay    time.Duration
		}{{a, b, oneWay}, {b, a, 2 * oneWay}} {
			if arrived := count(way.from, way.to, way.delay); arrived < 110 || arrived > 170 {
				t.Errorf("of 200 datagrams %d arrived; a share of 0.3 should be lost", arrived)
			}
		}
		n.Cut(n.Place(0), n.Place(1), true)
		if arrived := count(a, b, oneWay); arrived != 0 {
			t.Errorf("%d datagrams arrived over a cut", arrived)
		}
		n.Cut(n.Place(1), n.Place(0), false)
		n.Change(func(c *Conditions) { c.Loss = 0; c.Delay = nil })
		if arrived := count(a, b, 0); arrived != 200 {
			t.Errorf("%d of 200 datagrams arrived when nothing was to be lost", arrived)
		}
	})
}

func TestRegions(t *testing.T) {
	delay, again := Regions(3), Regions(3)
	n := NewVirtual(Conditions{})
	var sum time.Duration
	pairs := 0
	for i := range 120 {
		for j := range i {
			a, b := n.Place(i), n.Place(j)
			d := delay(a, b)
			if d != delay(b, a) || d != again(a, b) {
				t.Fatalf("between %s and %s it takes %v, %v and %v", a, b, d, delay(b, a), again(a, b))
			}
			if trip := 2 * d; trip < 4*time.Millisecond || trip > 145*time.Millisecond {
				t.Fatalf("a round trip of %v", trip)
			}
			sum += 2 * d
			pairs++
		}
	}
	if mean := sum / time.Duration(pairs); mean < 75*time.Millisecond || mean > 87*time.Millisecond {
		t.Errorf("the mean round trip is %v", mean)
	}
}
