//go:build linux

package footprint

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// ItemRow is the memory of a server for items of one size.
type ItemRow struct {
	Items       int
	ValueBytes  int
	Server      string
	EmptyBytes  int64 // before the items, after a connection
	LoadedBytes int64 // when the last item was stored
	Bytes       int64 // when the memory had settled
	Where       Where // at that time
	Evictions   int64
	Rival       *ItemRow // to compare with, or nil
}

// PerItem returns all resident memory per item.
func (r ItemRow) PerItem() float64 { return float64(r.Bytes) / float64(r.Items) }

// GrownPerItem returns the memory that the items added, per item.
func (r ItemRow) GrownPerItem() float64 { return float64(r.Bytes-r.EmptyBytes) / float64(r.Items) }

// Ratio returns PerItem relative to the rival's.
func (r ItemRow) Ratio() string {
	if r.Rival == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.PerItem()/r.Rival.PerItem())
}

// WriteItems writes rows as one Markdown table.
func WriteItems(w io.Writer, rows []ItemRow) error {
	t := table{w: w}
	t.head("items", "value", "server", "empty MiB", "loaded MiB", "RSS MiB", "RSS / items", "(RSS - empty) / items", "ratio",
		"evictions", "items MiB", "program MiB", "other MiB")
	for _, r := range rows {
		t.row(r.Items, r.ValueBytes, r.Server, mib(r.EmptyBytes), mib(r.LoadedBytes), mib(r.Bytes),
			fmt.Sprintf("%.1f", r.PerItem()), fmt.Sprintf("%.1f", r.GrownPerItem()), r.Ratio(), r.Evictions,
			mib(r.Where.ReservedBytes), mib(r.Where.ProgramBytes), mib(r.Where.OtherBytes))
	}
	return t.err
}

// BoundRow is how far a load increased a server's memory.
type BoundRow struct {
	LimitBytes int64
	Load       string
	Answers    Answers
	FullAfter  time.Duration // until it evicted; 0 if it did not
	EmptyBytes int64
	MaxBytes   int64 // of the samples
	PeakBytes  int64 // as counted by the system
	Where      Where // at the end
}

// boundShare is how far RSS may exceed the limit, in addition to a constant.
const boundShare = 1.15

// OverBytes returns the constant that the peak needs in addition to limit + 15 %.
func (r BoundRow) OverBytes() int64 { return r.PeakBytes - int64(boundShare*float64(r.LimitBytes)) }

// WriteBounds writes rows as one Markdown table.
func WriteBounds(w io.Writer, rows []BoundRow) error {
	t := table{w: w}
	t.head("limit MiB", "load", "requests", "errors", "full after s", "empty MiB", "max MiB", "peak MiB", "(max - empty) / limit",
		"peak - 1.15 limit, MiB", "items MiB", "other MiB")
	for _, r := range rows {
		full := "never"
		if r.FullAfter > 0 {
			full = fmt.Sprintf("%.1f", r.FullAfter.Seconds())
		}
		t.row(mib(r.LimitBytes), r.Load, r.Answers.Requests, r.Answers.Errors, full, mib(r.EmptyBytes), mib(r.MaxBytes),
			mib(r.PeakBytes), fmt.Sprintf("%.2f", float64(r.MaxBytes-r.EmptyBytes)/float64(r.LimitBytes)), mib(r.OverBytes()),
			mib(r.Where.ReservedBytes), mib(r.Where.OtherBytes))
	}
	return t.err
}

// GCRow is what the collector of one server did under load.
type GCRow struct {
	Items      int
	ValueBytes int
	Rate       float64       // requests per second
	Span       time.Duration // of the load
	ProcessCPU time.Duration // of the whole process in the span
	Collections
}

// WriteGC writes a row as one Markdown table.
func WriteGC(w io.Writer, r GCRow) error {
	t := table{w: w}
	t.head("items", "value", "requests/s", "seconds", "cycles", "unreadable", "CPU of all cores", "of it idle",
		"CPU of the process", "sweep termination, max ms", "mark termination, max ms", "live heap MiB", "goal MiB")
	share := func(part, whole time.Duration) string {
		if whole == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f %%", 100*float64(part)/float64(whole))
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1000) }
	t.row(r.Items, r.ValueBytes, fmt.Sprintf("%.0f", r.Rate), fmt.Sprintf("%.1f", r.Span.Seconds()), r.Cycles, r.Unreadable,
		share(r.CPU, r.AllCPU), share(r.IdleCPU, r.AllCPU), share(r.CPU, r.ProcessCPU),
		ms(r.SweepEndMax), ms(r.MarkEndMax), r.LiveMiBMax, r.GoalMiBMax)
	return t.err
}

// table writes Markdown until the first error.
type table struct {
	w   io.Writer
	err error
}

// head writes the names of the columns; all are aligned to the right, for all but
// a few are numbers.
func (t *table) head(names ...string) {
	t.line("| " + strings.Join(names, " | ") + " |")
	t.line("|" + strings.Repeat(" ---: |", len(names)))
}

func (t *table) row(cells ...any) {
	var b strings.Builder
	for _, cell := range cells {
		fmt.Fprintf(&b, "| %v ", cell)
	}
	t.line(b.String() + "|")
}

func (t *table) line(s string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, s+"\n")
	}
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }
