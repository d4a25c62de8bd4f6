package pebble

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPowerLoss cuts the power at random moments of a random run: what was acknowledged is
// there, whatever else the disk kept of the rest (reliability.md P14). Values are put again
// and again, so that an older one is told from the right one.
func TestPowerLoss(t *testing.T) {
	const runs, clones = 20, 50
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	salvaged := 0
	for range runs {
		disk := vfs.NewCrashableMem()
		kv := mustOpen(t, "/store", Config{FS: disk, Cache: 1 << 20})
		put := make(map[int]int)   // the last version put
		acked := make(map[int]int) // and the last that was synced
		for range clones {
			for range rng.IntN(40) {
				i := rng.IntN(100)
				put[i]++
				k, _ := numbered(i)
				value := fmt.Appendf(nil, "%d %d %s", i, put[i], strings.Repeat("x", rng.IntN(300)))
				if err := kv.PutAt(k, value, uint32(i+1)); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(10) == 0 {
					if err := kv.Sync(); err != nil {
						t.Fatal(err)
					}
					for i, v := range put {
						acked[i] = v
					}
				}
			}
			if rng.IntN(20) == 0 {
				if err := kv.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			if afterPowerLoss(t, clone, acked, put) {
				salvaged++
			}
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d power losses, after %d of them logs had to be read past what was never written", runs*clones, salvaged)
}

// afterPowerLoss opens what the disk kept, and reports whether something had to be saved.
func afterPowerLoss(t *testing.T, disk *vfs.MemFS, acked, put map[int]int) bool {
	t.Helper()
	kv := mustOpen(t, "/store", Config{FS: disk, Cache: 1 << 20})
	settle(t, kv)
	held := 0
	for i := range 100 {
		k, _ := numbered(i)
		value, found, err := kv.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			if acked[i] > 0 {
				t.Fatalf("pair %d of version %d is gone: %+v", i, acked[i], kv.Stats())
			}
			continue
		}
		held++
		var who, version int
		if _, err := fmt.Sscan(string(value), &who, &version); err != nil || who != i {
			t.Fatalf("pair %d is %q: %v", i, value, err)
		}
		if version < acked[i] || version > put[i] {
			t.Fatalf("pair %d is of version %d, synced was %d, put %d: %+v", i, version, acked[i], put[i], kv.Stats())
		}
	}
	if kv.Len() != held {
		t.Fatalf("Len is %d, %d are held", kv.Len(), held)
	}
	saved := kv.Stats().Salvaged > 0
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	return saved
}

// writerDir names the directory of the child that TestKill starts.
const writerDir = "KDHT_TEST_WRITER_DIR"

// TestMain runs the child instead of the tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		os.Exit(writer(dir))
	}
	os.Exit(m.Run())
}

// writer puts pairs from four goroutines, says which it was told are safe, and never ends.
func writer(dir string) int {
	kv, err := Open(dir, Config{})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var from int
	if _, err := fmt.Scan(&from); err != nil {
		return 1
	}
	lines := make(chan int)
	for w := range 4 {
		go func() {
			for i := from + w; ; i += 4 {
				k, v := numbered(i)
				if err := errors.Join(kv.PutAt(k, v, uint32(i+1)), kv.Sync()); err != nil {
					fmt.Println("error", err)
					return
				}
				lines <- i
			}
		}()
	}
	for i := range lines {
		fmt.Println(i)
	}
	return 0
}

// TestKill kills a writing program at random moments, over and over: nothing that it was
// told is safe is lost, and nothing is wrong (reliability.md P13). KDHT_KILLS says how often.
func TestKill(t *testing.T) {
	kills := 10
	if n := os.Getenv("KDHT_KILLS"); n != "" {
		if _, err := fmt.Sscan(n, &kills); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	next := 0
	var acked []int
	for kill := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		cmd.Stdin = strings.NewReader(fmt.Sprintln(next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := killAfter(t, cmd, bufio.NewScanner(out), 1+rng.IntN(400))
		for _, i := range told {
			next = max(next, i+1)
		}
		next += 8 // what was under way
		acked = append(acked, told...)
		kv := mustOpen(t, dir, Config{})
		settle(t, kv)
		for _, i := range acked {
			k, want := numbered(i)
			if v, found, err := kv.Get(k); err != nil || !found || string(v) != string(want) {
				t.Fatalf("kill %d: pair %d, which was safe, is %x, %t, %v", kill, i, v, found, err)
			}
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d pairs were safe and are there", kills, len(acked))
}

// killAfter kills a program after it has said so many lines, and returns all that it said.
func killAfter(t *testing.T, cmd *exec.Cmd, lines *bufio.Scanner, n int) (told []int) {
	t.Helper()
	for lines.Scan() {
		var i int
		if _, err := fmt.Sscan(lines.Text(), &i); err != nil {
			t.Errorf("the program says %q", lines.Text())
			break
		}
		if told = append(told, i); len(told) == n {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	return told
}

// TestInUse: a directory that is open is refused to another, with what to do.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	kv := mustOpen(t, dir, Config{})
	if _, err := Open(dir, Config{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "stop that one, or name another directory") {
		t.Errorf("a second store in one program: %v", err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	out, _ := cmd.Output()
	if !strings.Contains(string(out), ErrInUse.Error()) {
		t.Errorf("a second program says %q", out)
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	if kv, err := Open(dir, Config{}); err != nil {
		t.Errorf("after it was closed: %v", err)
	} else if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFormat: what is not ours, or is newer, is refused and left alone.
func TestFormat(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       string // in the error; empty: it opens
	}{
		"newer":           {formatFile, "kdht values 2\n", "use a newer kdht"},
		"somebody else's": {"letter.txt", "Dear Sir", "name an empty directory"},
		"never finished":  {formatFile, "kdht va", ""},
		"ours":            {formatFile, "kdht values 1\n", ""},
	} {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("/store", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(disk, "/store", c.file, []byte(c.text)); err != nil {
			t.Fatal(err)
		}
		kv, err := Open("/store", Config{FS: disk})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := kv.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		f, err := disk.Open("/store/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(f); err != nil || string(b) != c.text {
			t.Errorf("%s: the file is %q now, %v", name, b, err)
		}
	}
}

// TestBackup copies a store that goes on being written, and opens the copy.
func TestBackup(t *testing.T) {
	kv := mustOpen(t, t.TempDir(), Config{})
	fill(t, kv, 0, 6000)
	more := make(chan struct{})
	go func() {
		defer close(more)
		for i := 6000; i < 9000; i++ {
			k, v := numbered(i)
			if err := kv.PutAt(k, v, 1); err != nil {
				t.Error(err)
			}
		}
	}()
	dir := t.TempDir() + "/copy"
	if err := kv.Backup(dir); err != nil {
		t.Fatal(err)
	}
	<-more
	if err := kv.Backup(dir); err == nil {
		t.Error("a backup into a directory that is not empty")
	}
	file := filepath.Join(t.TempDir(), "letter.txt")
	if err := os.WriteFile(file, []byte("Dear Sir"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kv.Backup(file); err == nil {
		t.Error("a backup into a file")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "Dear Sir" {
		t.Errorf("a file that a backup was to go into is %q now, %v", b, err)
	}
	again := mustOpen(t, dir, Config{})
	if gone := missing(t, again, 6000); gone > 0 {
		t.Errorf("%d of 6000 pairs are not in the copy", gone)
	}
	if err := errors.Join(again.Close(), kv.Close()); err != nil {
		t.Fatal(err)
	}
	if err := kv.Backup(dir + "2"); err == nil {
		t.Error("a backup of a closed store")
	}
}
