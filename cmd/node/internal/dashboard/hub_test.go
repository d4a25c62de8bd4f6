package dashboard

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A node is looked at while a page is open, by one collector however many there are, and
// not at all when all are closed.
func TestNobodyLooksWhenNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		d := New(f)
		defer d.Close()
		time.Sleep(time.Minute)
		if f.looks.Load() != 0 || f.watched.Load() != 0 {
			t.Fatal("looked at before anybody reads")
		}
		one := reads(t, d)
		two := reads(t, d)
		time.Sleep(10*tick + tick/2)
		if n := f.looks.Load(); n != 11 {
			t.Errorf("looked at %d times in ten ticks and a half", n)
		}
		one()
		time.Sleep(tick)
		if f.looks.Load() != 12 || f.stopped.Load() != 0 {
			t.Error("the second page is not served any more")
		}
		two()
		synctest.Wait()
		if f.watched.Load() != 1 || f.stopped.Load() != 1 {
			t.Errorf("lookups are watched %d times and let go %d times", f.watched.Load(), f.stopped.Load())
		}
		before := f.looks.Load()
		time.Sleep(time.Hour)
		if f.looks.Load() != before {
			t.Error("looked at after all have left")
		}
		defer reads(t, d)()
		time.Sleep(tick / 2)
		if f.looks.Load() != before+1 || f.watched.Load() != 2 {
			t.Error("not looked at for who comes later")
		}
	})
}

// reads joins, and takes what comes until the returned function is called.
func reads(t *testing.T, d *Dashboard) (leave func()) {
	t.Helper()
	r, _, err := d.hub.join()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range r.events {
		}
	}()
	return func() { d.hub.leave(r); <-done }
}

// Who does not read is cut off when so much has piled up, and nobody else is.
func TestSlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(&fake{})
		defer d.Close()
		slow, _, err := d.hub.join()
		if err != nil {
			t.Fatal(err)
		}
		defer reads(t, d)()
		for range maxBehind * 2 {
			d.hub.say(func() event { return newEvent("x", 1) })
			synctest.Wait()
		}
		n := 0
		for range slow.events { // it ends: the reader was cut off
			n++
		}
		if n != maxBehind || len(d.hub.readers) != 1 {
			t.Errorf("%d events had piled up, %d readers are left", n, len(d.hub.readers))
		}
	})
}

// Only so many pages are served, and a closed dashboard serves none.
func TestReadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(&fake{})
		for range maxReaders {
			defer reads(t, d)()
		}
		if _, _, err := d.hub.join(); err == nil {
			t.Error("one more is served")
		}
		_ = d.Close()
		if _, _, err := d.hub.join(); err == nil {
			t.Error("a closed one serves")
		}
	})
}

// What has not changed is not told again, but is told to who comes later.
func TestOnlyNewsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(&fake{})
		defer d.Close()
		r, _, err := d.hub.join()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*tick + tick/2)
		count := make(map[string]int)
		for len(r.events) > 0 {
			name, _, _ := strings.Cut(string(<-r.events), "\n")
			count[name]++
		}
		if count["event: table"] != 1 || count["event: peers"] != 1 || count["event: status"] != 4 || count["event: point"] != 3 {
			t.Errorf("told %v", count)
		}
		later, first, err := d.hub.join()
		if err != nil {
			t.Fatal(err)
		}
		defer d.hub.leave(later)
		told := ""
		for _, e := range first {
			told += string(e)
		}
		for _, name := range []string{"hello", "status", "table", "traffic", "throttle", "peers", "records"} {
			if !strings.Contains(told, "event: "+name+"\n") {
				t.Errorf("who comes later is not told of %s", name)
			}
		}
		d.hub.leave(r)
	})
}

// An event that is too large is not told.
func TestEventsAreBounded(t *testing.T) {
	if newEvent("x", strings.Repeat("a", maxEvent)) != nil || newEvent("x", make(chan int)) != nil {
		t.Error("made all the same")
	}
	if e := newEvent("x", "a\n\nb"); strings.Count(string(e), "\n") != 3 {
		t.Errorf("%q is more than one event", e)
	}
}
