//go:build linux

package footprint

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"
)

// Cycle is one collection, as GODEBUG=gctrace=1 prints it (package runtime,
// "Environment Variables"):
//
//	gc 7 @0.51s 2%: 0.02+0.39+0.01 ms clock, 0.04+0.1/0.5/0.2+0.02 ms cpu, 4->4->2 MB,
//	5 MB goal, 0 MB stacks, 0 MB globals, 2 P
//
// in one line. The first and the third phase stop the world.
type Cycle struct {
	Number   int           // from 1 at the start of the program
	SweepEnd time.Duration // clock time of the first phase, sweep termination
	MarkEnd  time.Duration // clock time of the last phase, mark termination
	CPU      time.Duration // of all phases and processors, including idle time
	IdleCPU  time.Duration // of processors that had nothing else to do
	LiveMiB  int           // reachable heap
	GoalMiB  int           // heap size at which the cycle should end
	Procs    int           // GOMAXPROCS
}

var cycleLine = regexp.MustCompile(`\bgc (\d+) @[\d.]+s \d+%: ` +
	`([\d.]+)\+[\d.]+\+([\d.]+) ms clock, ` +
	`([\d.]+)\+([\d.]+)/([\d.]+)/([\d.]+)\+([\d.]+) ms cpu, ` +
	`\d+->\d+->(\d+) MB, (\d+) MB goal,.* (\d+) P`)

// ReadCycles returns the collections in the output of a program. It skips other lines.
func ReadCycles(r io.Reader) ([]Cycle, error) {
	var cycles []Cycle
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := cycleLine.FindStringSubmatch(lines.Text())
		if fields == nil {
			continue
		}
		c, err := newCycle(fields[1:])
		if err != nil {
			return cycles, fmt.Errorf("read %q: %w", lines.Text(), err)
		}
		cycles = append(cycles, c)
	}
	if err := lines.Err(); err != nil {
		return cycles, fmt.Errorf("read gctrace: %w", err)
	}
	return cycles, nil
}

// newCycle converts the groups of cycleLine.
func newCycle(fields []string) (Cycle, error) {
	var numbers [11]float64
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseFloat(fields[i], 64); err != nil {
			return Cycle{}, err
		}
	}
	ms := func(i int) time.Duration { return time.Duration(numbers[i] * float64(time.Millisecond)) }
	return Cycle{
		Number: int(numbers[0]), SweepEnd: ms(1), MarkEnd: ms(2),
		CPU: ms(3) + ms(4) + ms(5) + ms(6) + ms(7), IdleCPU: ms(6),
		LiveMiB: int(numbers[8]), GoalMiB: int(numbers[9]), Procs: int(numbers[10]),
	}, nil
}

// Collections sums up what the collector did in a span of time.
type Collections struct {
	Cycles      int // that ended in it
	Unreadable  int // of these; they are not counted elsewhere
	CPU         time.Duration
	IdleCPU     time.Duration // of CPU
	AllCPU      time.Duration // available: the span times the number of processors
	SweepEndMax time.Duration // longest pause
	MarkEndMax  time.Duration // longest pause
	LiveMiBMax  int
	GoalMiBMax  int
}

// Collect sums up the cycles after the one with the number last, which ended in a span
// of time on procs processors. A cycle whose line cannot be parsed, for example
// because another line was printed in the middle of it, is only counted as unreadable.
func Collect(cycles []Cycle, last int, span time.Duration, procs int) Collections {
	c := Collections{AllCPU: span * time.Duration(procs)}
	readable := 0
	for _, cycle := range cycles {
		if cycle.Number <= last {
			continue
		}
		readable++
		c.Cycles = max(c.Cycles, cycle.Number-last)
		c.CPU += cycle.CPU
		c.IdleCPU += cycle.IdleCPU
		c.SweepEndMax = max(c.SweepEndMax, cycle.SweepEnd)
		c.MarkEndMax = max(c.MarkEndMax, cycle.MarkEnd)
		c.LiveMiBMax = max(c.LiveMiBMax, cycle.LiveMiB)
		c.GoalMiBMax = max(c.GoalMiBMax, cycle.GoalMiB)
	}
	c.Unreadable = c.Cycles - readable
	return c
}
