//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"raftcached/bench/footprint"
)

// ticksPerSecond is the unit of times in /proc/stat (proc(5), USER_HZ).
const ticksPerSecond = 100

// usage is how much processor time was used until some moment.
type usage struct {
	at      time.Time
	servers time.Duration // by the processes of a target
	own     time.Duration // by this program: the generator
	machine time.Duration // by all, and by what the machine runs on
	stolen  time.Duration // by what the machine runs on
}

// readUsage reads what the given processes, this one and the whole machine have used.
func readUsage(pids []int) (u usage, err error) {
	for _, pid := range pids {
		cpu, err := footprint.ReadCPU(pid)
		if err != nil {
			return u, err
		}
		u.servers += cpu
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return u, fmt.Errorf("read own processor time: %w", err)
	}
	u.own = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, fmt.Errorf("read the machine's processor time: %w", err)
	}
	u.machine, u.stolen, err = parseBusy(string(text))
	u.at = time.Now()
	return u, err
}

// parseBusy returns the busy time in /proc/stat, whose first line has the sums over all
// processors: user, nice, system, idle, iowait, irq, softirq, steal, and parts of user
// and nice. What a hypervisor has given to others (steal) counts as busy, and is returned by
// itself, too.
func parseBusy(text string) (busy, stolen time.Duration, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	const idle, iowait, steal = 4, 5, 8
	if len(fields) <= steal || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("read the machine's processor time: first line is %q", line)
	}
	var ticks int64
	for i := 1; i <= steal; i++ {
		if i == idle || i == iowait {
			continue
		}
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the machine's processor time: %w", err)
		}
		ticks += n
		if i == steal {
			stolen = time.Duration(n) * (time.Second / ticksPerSecond)
		}
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), stolen, nil
}

// cost is what one round took.
type cost struct {
	serverCPU time.Duration // of all processes of the target
	generator float64       // processors that this program kept busy
	other     float64       // processors that anything else kept busy, idle targets included
	stolen    float64       // of these, those that what the machine runs on gave to others
	late      time.Duration // the most that a bystander was woken too late
	rssBytes  int64         // of all processes of the target, at the end
}

// costSince returns what was used since an earlier reading.
func costSince(before usage, pids []int) (c cost, err error) {
	after, err := readUsage(pids)
	if err != nil {
		return c, err
	}
	elapsed := after.at.Sub(before.at).Seconds()
	own, servers := after.own-before.own, after.servers-before.servers
	c.serverCPU = servers
	c.generator = own.Seconds() / elapsed
	c.other = max(0, (after.machine-before.machine-own-servers).Seconds()/elapsed)
	c.stolen = (after.stolen - before.stolen).Seconds() / elapsed
	for _, pid := range pids {
		memory, err := footprint.ReadMemory(pid)
		if err != nil {
			return c, err
		}
		c.rssBytes += memory.Bytes
	}
	return c, nil
}
