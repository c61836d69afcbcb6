//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// report is what both the Markdown and the page say.
type report struct {
	At       time.Time
	Rounds   int
	Duration time.Duration
	Versions []string
	Figures  []reportFigure
	Rows     []reportRow
}

// reportFigure is a figure to reach, and what was reached.
type reportFigure struct {
	Row, What, Against string
	Want, Got          string
	Reached            bool
}

// reportRow is one row.
type reportRow struct {
	Name, Title string
	Targets     []reportTarget
}

// reportTarget is one target in one row: medians of the rounds; Gap, Late, Errors
// and Unanswered of the worst round.
type reportTarget struct {
	Name               string
	Rate, Ratio, CPU   float64 // Ratio: ours to this rival's rate, the median of the rounds
	P50, P99, P999     float64 // µs
	GapMs              float64
	RSSMiB             float64
	Generator, Other   float64 // processors kept busy
	Stolen             float64 // of Other, by what the machine runs on
	LateMs             float64 // of the bystander, at most
	Errors, Unanswered int64
	FirstError         string
}

// add adds a row that was measured.
func (r *report) add(o *outcome) {
	title := o.row.title
	if o.row.workload.Rate > 0 {
		title += fmt.Sprintf(", %.0f a second", o.row.workload.Rate)
	}
	row := reportRow{Name: o.row.name, Title: title}
	for _, t := range o.targets {
		ratio, _ := o.reached(figure{what: rate, rivals: []target{t}})
		c := reportTarget{
			Name: t.name, Rate: o.median(t.name, round.perSecond), Ratio: ratio, CPU: o.median(t.name, round.cpuMicros),
			P50: o.micros(t, func(r round) time.Duration { return r.P50 }), P99: o.micros(t, func(r round) time.Duration { return r.P99 }),
			P999:      o.micros(t, func(r round) time.Duration { return r.P999 }),
			RSSMiB:    o.median(t.name, func(r round) float64 { return float64(r.rssBytes) / (1 << 20) }),
			Generator: o.median(t.name, func(r round) float64 { return r.generator }),
			Other:     o.median(t.name, func(r round) float64 { return r.other }),
			Stolen:    o.median(t.name, func(r round) float64 { return r.stolen }),
		}
		for _, one := range o.rounds[t.name] {
			c.GapMs = max(c.GapMs, one.of(gapMs))
			c.LateMs = max(c.LateMs, float64(one.late)/float64(time.Millisecond))
			c.Unanswered = max(c.Unanswered, one.Unanswered)
			if one.Errors > c.Errors {
				c.Errors, c.FirstError = one.Errors, one.FirstError
			}
		}
		row.Targets = append(row.Targets, c)
	}
	r.Rows = append(r.Rows, row)
	for _, f := range o.row.figures {
		got, ok := o.reached(f)
		if !ok {
			continue
		}
		var rivals []string
		for _, t := range f.rivals {
			if o.rounds[t.name] != nil {
				rivals = append(rivals, t.name)
			}
		}
		reached := got >= f.want
		if f.what.lower() {
			reached = got <= f.want
		}
		r.Figures = append(r.Figures, reportFigure{
			Row: o.row.name, What: measureNames[f.what], Against: strings.Join(rivals, ", "),
			Want: f.bound(), Got: f.text(got), Reached: reached,
		})
	}
}

func (o *outcome) micros(t target, f func(round) time.Duration) float64 {
	return o.median(t.name, func(r round) float64 { return float64(f(r).Nanoseconds()) / 1000 })
}

// text returns a value of a figure with its unit.
func (f figure) text(value float64) string {
	if f.what == gapMs {
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2fx", value)
}

// bound returns what is to be reached.
func (f figure) bound() string {
	if f.what.lower() {
		return "≤ " + f.text(f.want)
	}
	return "≥ " + f.text(f.want)
}

// writeMarkdown writes the report for bench/results.
func (r *report) writeMarkdown(w io.Writer) error {
	d := bench.DefaultWorkload
	var out strings.Builder
	fmt.Fprintf(&out, "# Comparison with rivals of %s\n\n    make bench-compare COMPAREFLAGS='%s'\n\n", r.At.Format("2006-01-02"), strings.Join(os.Args[1:], " "))
	fmt.Fprintf(&out, "%s. %d cores (%s), shared by the servers and the generator; %s.\n", strings.Join(r.Versions, ", "), runtime.NumCPU(), bench.ProcessorName(), runtime.Version())
	fmt.Fprintf(&out, "%d keys of %d bytes, zipf %.2f, values of %d bytes; %d rounds of %v each, in turn.\n\n", d.Keys, d.KeyBytes, d.Theta, d.ValueBytes, r.Rounds, r.Duration)
	for _, e := range explanations {
		fmt.Fprintf(&out, "- %s: %s\n", e[0], e[1])
	}
	out.WriteString("\n## The figures to reach\n\nRatios are medians over the rounds, each to the same round of the rival, the better one of several. Latencies: the rival's to ours.\n\n" +
		"| row | what | against | to reach | here | |\n| --- | --- | --- | ---: | ---: | --- |\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s |\n", f.Row, f.What, f.Against, f.Want, f.Got, f.Verdict())
	}
	out.WriteString("\n## All rows\n\nMedians of the rounds; gap (the longest time without an answer), late, errors and unanswered are those of the worst round. " +
		"CPU-µs and RSS are of all processes of a target, for in-process rows with the clients. " +
		"Generator and other are processors kept busy; other is all outside of target and generator, idle targets included, and stolen what of it the machine's own host gave to others. " +
		"Late is by how many ms the generator's process was woken too late, at most, from naps of 1 ms: no server is to blame for that.\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&out, "\n**%s**: %s\n\n| target | ops/s | we to it | CPU-µs/op | p50 µs | p99 µs | p99.9 µs | gap ms | RSS MiB | generator | other | stolen | late ms | errors | unanswered |\n", row.Name, row.Title)
		out.WriteString("| --- |" + strings.Repeat(" ---: |", 14) + "\n")
		for _, t := range row.Targets {
			fmt.Fprintf(&out, "| %s | %.0f | %.2f | %.1f | %.0f | %.0f | %.0f | %.1f | %.0f | %.2f | %.2f | %.2f | %.1f | %d | %d |\n",
				t.Name, t.Rate, t.Ratio, t.CPU, t.P50, t.P99, t.P999, t.GapMs, t.RSSMiB, t.Generator, t.Other, t.Stolen, t.LateMs, t.Errors, t.Unanswered)
		}
		for _, t := range row.Targets {
			if t.Errors > 0 {
				fmt.Fprintf(&out, "\nThe first error of %s: %q\n", t.Name, t.FirstError)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// Verdict says whether a figure was reached.
func (f reportFigure) Verdict() string {
	if f.Reached {
		return "reached"
	}
	return "not reached"
}

// versions returns what can be measured, with versions.
func versions(ctx context.Context, p programs) []string {
	var list []string
	ask := func(program, flag string) {
		if text, err := exec.CommandContext(ctx, program, flag).Output(); err == nil {
			list = append(list, strings.TrimSpace(string(text)))
		}
	}
	ask(p.raftcached, "-V")
	if p.redis != "" {
		ask(p.redis, "--version")
	}
	if path, err := cluster.FindMemcached(); err == nil {
		ask(path, "-V")
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "go.etcd.io/etcd/server/v3" || m.Path == "github.com/lni/dragonboat/v4" {
				list = append(list, m.Path+" "+m.Version)
			}
		}
	}
	return list
}
