package pebble

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/kdht/kdht/store"
)

// damage opens copies of the store that are damaged, twice: in the first run nobody knows
// of the damage, in the second all that can be read is saved.
func (s *scale) damage() {
	if err := s.values.Close(); err != nil {
		s.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	s.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, flips := range []int{1, 20, 200, 0} {
		dir := copyDir(s, s.dir)
		files := databaseFiles(s, dir, ".sst", ".log", "MANIFEST", "OPTIONS")
		what := fmt.Sprintf("%d flipped bytes", flips)
		for range flips {
			flipIn(s, rng, files[rng.IntN(len(files))])
		}
		if flips == 0 {
			what = "half of the newest file"
			s.halve(files)
		}
		for run := 1; run <= 2; run++ {
			s.openDamaged(dir, fmt.Sprintf("%s, run %d", what, run))
		}
		if err := os.RemoveAll(dir); err != nil {
			s.Fatal(err)
		}
	}
	s.values = nil
	s.open()
}

// halve cuts the file that was written last.
func (s *scale) halve(files []string) {
	newest, last := "", time.Time{}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			s.Fatal(err)
		}
		if info.ModTime().After(last) && info.Size() > 1000 {
			newest, last = f, info.ModTime()
		}
	}
	info, err := os.Stat(newest)
	if err == nil {
		err = os.Truncate(newest, info.Size()/2)
	}
	if err != nil {
		s.Fatal(err)
	}
	s.Logf("halved: %s, which had %d bytes", newest, info.Size())
}

// openDamaged opens a store, asks it and waits until all is saved. What is found is right,
// by the store's own checksums.
func (s *scale) openDamaged(dir, what string) {
	start := time.Now()
	kv := mustOpen(s, dir, Config{})
	values := store.NewValues(kv, anything{}, s.cfg)
	if err := values.Load(epoch); err != nil {
		s.Fatal(err)
	}
	s.took("open, "+what, 1, start)
	start = time.Now()
	settle(s, kv)
	saved := time.Since(start)
	const asks = 10_000
	found := 0
	for i := range asks {
		r := scaleRecord(i * max(s.n/asks, 1) % s.n)
		got, ok, err := values.Get(epoch, r.Key)
		if err != nil || ok && string(got.Value) != string(r.Value) {
			s.Fatalf("%x is %x, %v", r.Key, got.Value, err)
		}
		if ok {
			found++
		}
	}
	st := kv.Stats()
	s.Logf("  saved %d in %v; %d records held, %d of %d found; lost blocks %d, files %d; unreadable %d",
		st.Salvaged, saved.Round(time.Millisecond), st.Records, found, asks, st.LostBlocks, st.LostFiles, st.Unreadable)
	if err := values.Close(); err != nil {
		s.Fatal(err)
	}
}
