package hitratio

import (
	"fmt"
	"io"
	"strings"
)

// Table is the miss ratios of several caches on several traces, written row by
// row as Markdown.
type Table struct {
	Caches []string // in the order of the columns
	Rival  string   // the cache that others are compared with
	Ours   []string // the caches that are compared with it

	rows []Row
}

// Row is the result of all caches with one trace and one amount of memory.
type Row struct {
	Trace     string
	Share     float64 // of the memory that all popular keys would need
	MemoryMiB int
	Requests  int            // after the warm-up
	Misses    map[string]int // by cache
}

// better is the ratio to the rival's misses up to which the summary counts a row as
// clearly better.
const better = 0.9

// WriteHeader writes the table's head.
func (t *Table) WriteHeader(w io.Writer) error {
	names := []string{"trace", "cache", "requests"}
	names = append(names, t.Caches...)
	for _, ours := range t.compared() {
		names = append(names, ours+" / "+t.Rival)
	}
	align := "| --- |" + strings.Repeat(" ---: |", len(names)-1)
	_, err := fmt.Fprintf(w, "| %s |\n%s\n", strings.Join(names, " | "), align)
	return err
}

// WriteRow writes a row and keeps it for the summary.
func (t *Table) WriteRow(w io.Writer, r Row) error {
	t.rows = append(t.rows, r)
	cells := []string{r.Trace, fmt.Sprintf("%.0f %%, %d MiB", 100*r.Share, r.MemoryMiB), fmt.Sprint(r.Requests)}
	for _, cache := range t.Caches {
		cells = append(cells, fmt.Sprintf("%.4f", float64(r.Misses[cache])/float64(r.Requests)))
	}
	for _, ours := range t.compared() {
		cells = append(cells, fmt.Sprintf("%.3f", float64(r.Misses[ours])/float64(r.Misses[t.Rival])))
	}
	_, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	return err
}

// WriteSummary writes in how many rows each of ours misses no more than the rival, and
// in how many it misses clearly less.
func (t *Table) WriteSummary(w io.Writer) error {
	for _, ours := range t.compared() {
		var noMore, fewer int
		for _, r := range t.rows {
			if r.Misses[ours] <= r.Misses[t.Rival] {
				noMore++
			}
			if float64(r.Misses[ours]) <= better*float64(r.Misses[t.Rival]) {
				fewer++
			}
		}
		_, err := fmt.Fprintf(w, "\n%s misses no more than %s on %d of %d rows, and at least %.0f %% less on %d.\n",
			ours, t.Rival, noMore, len(t.rows), 100*(1-better), fewer)
		if err != nil {
			return err
		}
	}
	return nil
}

// compared returns those of ours that have a column, if the rival has one.
func (t *Table) compared() []string {
	var ours []string
	rival := false
	for _, cache := range t.Caches {
		rival = rival || cache == t.Rival
		for _, name := range t.Ours {
			if cache == name {
				ours = append(ours, name)
			}
		}
	}
	if !rival {
		return nil
	}
	return ours
}
