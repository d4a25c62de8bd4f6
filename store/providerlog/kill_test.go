package providerlog

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// childDir is the environment variable that makes this test program one that
// announces until it is killed.
const childDir = "KDHT_PROVIDERLOG_CHILD"

// killEvery is how many announcements the child makes between two lines that tell
// how far it is.
const killEvery = 500

// child announces key after key and tells the number of each that is safe: those
// before the last Sync.
func child(dir string) {
	s, err := Open(dir, Config{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	<-s.Ready()
	for i := s.Len(); ; i++ {
		if err := s.Add(epoch, multihash(i), provider(i%100)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		if i%killEvery == 0 {
			if err := s.Sync(); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println(i)
		}
	}
}

// TestKill kills a program that announces as fast as it can, again and again (KDHT_KILLS
// says how often): all
// that was synced is there, of the rest all up to some moment, and nothing is
// damaged. Real files, a real process.
func TestKill(t *testing.T) {
	rounds := 12
	if n := os.Getenv("KDHT_KILLS"); n != "" {
		if _, err := fmt.Sscan(n, &rounds); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	held := 0
	for round := range rounds {
		told := runAndKill(t, dir, 100+150*(round%12))
		s, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		<-s.Ready()
		st := s.Stats()
		if st.Loaded.Damaged > 0 || st.Loaded.Lost > 0 || st.Records < max(held, told+1) {
			t.Fatalf("round %d: %+v, %d records before, those up to %d synced", round, st, held, told)
		}
		for i := range st.Records {
			if !serves(t, s, epoch, i, i%100) {
				t.Fatalf("round %d: record %d of %d is gone", round, i, st.Records)
			}
		}
		held = st.Records
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if held < rounds*killEvery {
		t.Errorf("only %d records after %d rounds", held, rounds)
	}
}

// runAndKill starts the child and kills it when it has told that it made n more
// announcements than at its start. It returns the last number told.
func runAndKill(t *testing.T, dir string, n int) (told int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		told, err = strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		if first < 0 {
			first = told
		}
		if told-first >= n {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says that it was killed
	return told
}
