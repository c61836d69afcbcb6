//go:build linux

package footprint

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStatus(t *testing.T) {
	m, err := parseStatus([]byte("Name:\tmemcached\nVmPeak:\t  412345 kB\nVmHWM:\t    4608 kB\nVmRSS:\t    4096 kB\nRssAnon:\t1 kB\n"))
	if want := (Memory{Bytes: 4 << 20, PeakBytes: 4608 << 10}); err != nil || m != want {
		t.Errorf("memory is %+v, %v; want %+v", m, err, want)
	}
	for _, text := range []string{
		"Name:\tzombie\nState:\tZ (zombie)\n",
		"\nVmHWM:\t4608 kB\nVmRSS:\tmuch kB\n",
		"\nVmHWM:\t4608 kB\nVmRSS:\t4096 pages\n",
	} {
		if _, err := parseStatus([]byte(text)); err == nil {
			t.Errorf("status %q: no error", text)
		}
	}
}

// TestParseMappings has one mapping of each kind, and parts of lines that look
// like others.
func TestParseMappings(t *testing.T) {
	const smaps = `00400000-007ec000 r-xp 00000000 fe:00 10233370       /usr/bin/rc nr
Size:               4016 kB
Rss:                3000 kB
Pss:                3000 kB
VmFlags: rd ex mr mw me
c000000000-c000400000 rw-p 00000000 00:00 0
Rss:                1024 kB
VmFlags: rd wr mr mw me ac
7fa5cf20b000-7fa5ef20a000 rw-p 00000000 00:00 0
Rss:                2048 kB
VmFlags: rd wr mr mw me nr
7ffeb7a88000-7ffeb7aa9000 rw-p 00000000 00:00 0      [stack]
Rss:                  16 kB
VmFlags: rd wr mr mw me gd ac
`
	w, err := parseMappings(strings.NewReader(smaps))
	if want := (Where{ProgramBytes: 3000 << 10, ReservedBytes: 2 << 20, OtherBytes: 1040 << 10}); err != nil || w != want {
		t.Errorf("it lies in %+v, %v; want %+v", w, err, want)
	}
	if _, err := parseMappings(strings.NewReader("Rss: a lot\n")); err == nil {
		t.Error("no error for memory that is no number")
	}
}

func TestParseStat(t *testing.T) {
	const stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 2266 0 7 0 150 25 9 9 20 0 11 0 1234 1 1"
	if d, err := parseStat(stat); err != nil || d != 1750*time.Millisecond {
		t.Errorf("it used %v, %v; want 1.75 s", d, err)
	}
	if _, err := parseStat("42 (short) S 1 42"); err == nil {
		t.Error("no error for a short file")
	}
}

// TestOwnProcess reads the files of this process. The parts of its memory are the
// whole, but for what happens between the two looks.
func TestOwnProcess(t *testing.T) {
	m, err := ReadMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	w, err := ReadWhere(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const slackBytes = 8 << 20
	sum := w.ProgramBytes + w.ReservedBytes + w.OtherBytes
	if m.Bytes <= 0 || m.PeakBytes < m.Bytes || sum < m.Bytes-slackBytes || sum > m.Bytes+slackBytes {
		t.Errorf("memory is %+v, of it %+v", m, w)
	}
	if _, err := ReadCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
}
