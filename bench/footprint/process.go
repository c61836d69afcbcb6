//go:build linux

package footprint

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Memory is the resident memory of a process.
type Memory struct {
	Bytes     int64 // VmRSS
	PeakBytes int64 // VmHWM: the maximum since it started
}

// ReadMemory reads /proc/PID/status.
func ReadMemory(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	return parseStatus(text)
}

// parseStatus returns the memory in a status file, whose lines are like
// "VmRSS:     1234 kB".
func parseStatus(text []byte) (m Memory, err error) {
	for _, field := range []struct {
		name string
		dst  *int64
	}{{"VmRSS:", &m.Bytes}, {"VmHWM:", &m.PeakBytes}} {
		_, rest, found := bytes.Cut(text, []byte("\n"+field.name))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if !found {
			return Memory{}, fmt.Errorf("read memory: no %s in the status: the process has ended", field.name)
		}
		if *field.dst, err = parseKB(string(line)); err != nil {
			return Memory{}, fmt.Errorf("read memory: %s %w", field.name, err)
		}
	}
	return m, nil
}

// parseKB returns the bytes of "1234 kB".
func parseKB(s string) (int64, error) {
	number, isKB := strings.CutSuffix(strings.TrimSpace(s), " kB")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !isKB {
		return 0, fmt.Errorf("%q is no number of kB", s)
	}
	return n << 10, nil
}

// Where is what the resident memory of a process consists of.
type Where struct {
	ReservedBytes int64 // mapped with MAP_NORESERVE: raftcached's items and their index
	ProgramBytes  int64 // mapped files: code and constants
	OtherBytes    int64 // the rest; in a Go program the heap, stacks and the runtime's tables
}

// ReadWhere reads /proc/PID/smaps. It is slow for a process of many GiB.
func ReadWhere(pid int) (Where, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return Where{}, fmt.Errorf("read mappings: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	return parseMappings(file)
}

// parseMappings sums up the mappings of an smaps file. It uses the name, which
// mapped files have, the size, and the flag "nr" (proc(5), "/proc/pid/smaps"):
//
//	7fa5cf20b000-7fa5ef20a000 rw-p 00000000 00:00 0
//	Rss:                1024 kB
//	VmFlags: rd wr mr mw me nr
func parseMappings(r io.Reader) (w Where, err error) {
	var isFile bool
	var rssBytes int64
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0:
		case words[0] == "Rss:":
			if rssBytes, err = parseKB(strings.Join(words[1:], " ")); err != nil {
				return w, fmt.Errorf("read mappings: %w", err)
			}
		case words[0] == "VmFlags:":
			switch {
			case isFile:
				w.ProgramBytes += rssBytes
			case slices.Contains(words, "nr"):
				w.ReservedBytes += rssBytes
			default:
				w.OtherBytes += rssBytes
			}
		case !strings.HasSuffix(words[0], ":"):
			isFile = len(words) > 5 && strings.HasPrefix(words[5], "/")
		}
	}
	if err := lines.Err(); err != nil {
		return w, fmt.Errorf("read mappings: %w", err)
	}
	return w, nil
}

// ticksPerSecond is the unit of times in /proc (proc(5), USER_HZ).
const ticksPerSecond = 100

// ReadCPU returns the time that all threads of a process have used.
func ReadCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return parseStat(string(text))
}

// parseStat returns the sum of fields 14 and 15, user and system time, of a stat file.
// Field 2, the name, may contain anything in its parentheses.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const user, system = 14 - 3, 15 - 3 // the first is field 3
	if len(fields) <= system {
		return 0, fmt.Errorf("read processor time: %d fields behind the name", len(fields))
	}
	var ticks int64
	for _, field := range fields[user : system+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), nil
}
