//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
)

//go:embed page.html
var pageText string

// The charts of a row side by side: what each target's bar shows.
var charts = []struct {
	Title string
	value func(reportTarget) float64
}{
	{"sets or gets a second", func(t reportTarget) float64 { return t.Rate }},
	{"CPU-µs an operation", func(t reportTarget) float64 { return t.CPU }},
	{"p50, µs", func(t reportTarget) float64 { return t.P50 }},
	{"p99, µs", func(t reportTarget) float64 { return t.P99 }},
}

// The sizes of a chart in SVG units.
const (
	barsWidth  = 150 // of the longest bar
	barHeight  = 16
	barPitch   = 24
	nameWidth  = 130
	valueWidth = 70
)

// bar is one bar of a chart, of which the first is ours.
type bar struct {
	Name, Value     string
	Top, TextTop    int
	Left, ValueLeft float64
	Width           float64
	Ours            bool
}

// chart is one drawing.
type chart struct {
	Title         string
	Width, Height int
	Bars          []bar
}

// Charts returns the drawings of a row.
func (r reportRow) Charts() []chart {
	var list []chart
	for _, c := range charts {
		drawn := chart{Title: c.Title, Width: nameWidth + barsWidth + valueWidth, Height: barPitch * len(r.Targets)}
		var highest float64
		for _, t := range r.Targets {
			highest = max(highest, c.value(t))
		}
		for i, t := range r.Targets {
			width := 0.0
			if highest > 0 {
				width = c.value(t) / highest * barsWidth
			}
			drawn.Bars = append(drawn.Bars, bar{
				Name: t.Name, Value: number(c.value(t)), Top: i * barPitch, TextTop: i*barPitch + barHeight*3/4,
				Left: nameWidth, Width: width, ValueLeft: nameWidth + width + 4, Ours: i == 0,
			})
		}
		list = append(list, drawn)
	}
	return list
}

// number returns a value with three digits at least.
func number(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.0f k", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// writePage writes the page with charts into a file.
func (r *report) writePage(file string) error {
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := page.Execute(f, r); err != nil {
		_ = f.Close() // it is incomplete
		return fmt.Errorf("write page: %w", err)
	}
	return f.Close()
}
