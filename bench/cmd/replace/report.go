//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"raftcached/bench/steady"
)

// stretch is a part of the run.
type stretch struct {
	name     string
	from, to time.Time
}

// report writes what was measured, as Markdown. It is an error if the replacement took
// too long.
func (r *runner) report(out *strings.Builder) error {
	who := "a follower"
	if r.leads {
		who = "the leader"
	}
	took := r.replaced.Sub(r.killed)
	fmt.Fprintf(out, "%d servers with a cache of %d MiB, full of values of %d bytes; %d connections, %d of 10 requests are gets; %s is killed.\n\n",
		r.Servers, r.SizeMiB, r.ValueBytes, r.Conns, getsOfTen, who)
	fmt.Fprintf(out, "| stretch | seconds | requests a second | the lowest second | get p50 ms | get p99 ms | set p50 ms | set p99 ms | longest without a set |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, s := range []stretch{{"before", r.began, r.killed}, {"from kill -9 to the vote", r.killed, r.replaced}, {"after", r.replaced, r.ends}} {
		fmt.Fprint(out, r.row(s))
	}
	fmt.Fprintf(out, "\nFrom kill -9 to the end of `raftcachectl member replace`, when one loss is survived again: %.1f s. "+
		"The new server was started after %.1f s. %d requests failed.\n\n", took.Seconds(), r.started.Sub(r.killed).Seconds(), r.failed)
	for line := range strings.Lines(r.said) {
		fmt.Fprintf(out, "    %s\n", strings.TrimRight(line, "\n"))
	}
	if took > takesMax {
		return fmt.Errorf("the replacement took %v, at most %v expected", took, takesMax)
	}
	return nil
}

// row is a stretch in the table.
func (r *runner) row(s stretch) string {
	var gets, sets steady.Latencies
	var stored []time.Time
	seconds := make([]int, max(1, int(s.to.Sub(s.from)/time.Second))) // the whole ones
	count := 0
	for _, one := range r.samples {
		if one.at.Before(s.from) || one.at.After(s.to) {
			continue
		}
		count++
		if i := int(one.at.Sub(s.from) / time.Second); i < len(seconds) {
			seconds[i]++
		}
		if one.isGet {
			gets = append(gets, one.latency)
		} else {
			sets = append(sets, one.latency)
			stored = append(stored, one.at)
		}
	}
	slices.Sort(gets)
	slices.Sort(sets)
	length := s.to.Sub(s.from).Seconds()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("| %s | %.1f | %.0f | %d | %.2f | %.2f | %.2f | %.2f | %.0f ms |\n", s.name, length, float64(count)/length, slices.Min(seconds),
		ms(gets.At(500)), ms(gets.At(990)), ms(sets.At(500)), ms(sets.At(990)), ms(longestGap(s, stored)))
}

// longestGap is the longest time of a stretch in which nothing happened.
func longestGap(s stretch, times []time.Time) (longest time.Duration) {
	slices.SortFunc(times, time.Time.Compare)
	last := s.from
	for _, at := range append(times, s.to) {
		longest = max(longest, at.Sub(last))
		last = at
	}
	return longest
}
