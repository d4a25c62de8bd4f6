package bench

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

var residentDir = flag.String("dir", "", "where BenchmarkResident keeps its log; one of its own if empty")

// BenchmarkResident tells how much memory this program takes with -records records in a
// log, as the operating system counts it: new ones, or, if -dir holds them from a run
// before, those that were read. It is run once and alone, for what others left would count.
func BenchmarkResident(b *testing.B) {
	dir := *residentDir
	if dir == "" {
		dir = b.TempDir()
	}
	for b.Loop() {
		before := resident(b)
		start := time.Now()
		s := openLog(b, dir, *records)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/open")
		<-s.Ready()
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/all-read")
		if s.Len() == 0 {
			fill(b, announcingLog(b, s), *records)
		}
		if s.Len() != *records {
			b.Fatalf("%d records of %d", s.Len(), *records)
		}
		b.ReportMetric(resident(b), "MiB-resident")
		b.ReportMetric(before, "MiB-before")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// resident returns how many MiB of this program are in memory.
func resident(tb testing.TB) float64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		tb.Fatal(err)
	}
	return kib / 1024
}
