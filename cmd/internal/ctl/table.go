package ctl

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

// colors of a terminal; none when the output is anything else.
type colors bool

func (c colors) paint(code, text string) string {
	if !c {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// ofState is the color of a server's state.
func (c colors) ofState(state, text string) string {
	switch state {
	case admin.StateOK, overview.StateReachable:
		return c.paint(green, text)
	case overview.StateUnreachable, overview.StateSilent, admin.StateNoMajority, admin.StateDiffer, admin.StateQuarantine:
		return c.paint(red, text)
	}
	return c.paint(yellow, text)
}

var statusTitles = []string{"ID", "ADDRESS", "ROLE", "STATE", "APPLIED", "LAG", "SEEN", "MEM", "DISK FREE", "VERSION", "UP"}

const (
	stateColumn = 3
	leaseColumn = 4 // of a cluster with leases
)

// writeView writes a view for people.
func writeView(w io.Writer, v *overview.View, c colors) error {
	version := v.ClusterVersion()
	if v.PlainVersion() {
		version = ""
	}
	return writeViewWith(w, v, c, version)
}

// writeViewWith writes a view with a line about the cluster version, unless that is empty.
func writeViewWith(w io.Writer, v *overview.View, c colors, version string) error {
	var text strings.Builder
	color := map[overview.Verdict]string{overview.OK: green, overview.Degraded: yellow, overview.NoMajority: red}[v.Verdict]
	servers := "servers"
	if len(v.Servers) == 1 {
		servers = "server"
	}
	fmt.Fprintf(&text, "cluster %s · %d %s · %s: %s\n", overview.Short(v.Cluster), len(v.Servers), servers,
		c.paint(bold+";"+color, strings.ToUpper(string(v.Verdict))), v.Meaning)
	table := [][]string{statusTitles}
	for i := range v.Servers {
		table = append(table, cells(&v.Servers[i]))
	}
	if v.Leases != "" && v.Leases != admin.LeaseOff {
		table[0] = slices.Insert(slices.Clone(statusTitles), leaseColumn, "LEASE")
		for i := range v.Servers {
			table[i+1] = slices.Insert(table[i+1], leaseColumn, cmp.Or(v.Servers[i].Lease, "-"))
		}
	}
	writeTable(&text, table, func(line, column int, cell string) string {
		if line > 0 && column == stateColumn {
			return c.ofState(v.Servers[line-1].State, cell)
		}
		return cell
	})
	if version != "" {
		text.WriteString(" " + version + "\n")
	}
	for _, p := range v.Problems {
		who := "the cluster"
		if p.ServerID != nil {
			who = "server " + strconv.Itoa(*p.ServerID)
		}
		fmt.Fprintf(&text, " %s %s: %s.\n   %s\n", c.paint(bold, "!"), who, strings.TrimSuffix(p.Text, "."), p.Help)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// cells is a row for people.
func cells(r *overview.Row) []string {
	cells := []string{strconv.Itoa(r.ID), r.Address, "-", r.State, "-", "-", "-", "-", "-", "-", "-"}
	switch {
	case r.Role == "":
	case r.Role == "leader":
		cells[2] = "LEADER"
	case r.Stays:
		cells[2] = "replica"
	default:
		cells[2] = r.Role
	}
	if r.Since != nil {
		cells[6] = age(time.Duration(r.Seconds * float64(time.Second)))
	}
	if r.HeardSeconds != nil {
		cells[6] = brief(*r.HeardSeconds)
	}
	if !r.Answered {
		return cells
	}
	cells[6], cells[9], cells[10] = "now", r.Version, age(time.Duration(r.UptimeSeconds)*time.Second)
	if r.Memory != nil {
		cells[4], cells[5] = strconv.FormatUint(r.Applied, 10), strconv.FormatUint(r.Lag, 10)
		cells[7] = share(r.Memory.Bytes, r.Memory.LimitBytes)
	}
	if r.Disk != nil && r.Disk.TotalBytes > 0 {
		cells[8] = fmt.Sprintf("%s (%d%%)", overview.Size(r.Disk.FreeBytes), r.Disk.FreeBytes*100/r.Disk.TotalBytes)
	}
	return cells
}

// writeTable writes columns as wide as they must be: numbers to the right. paint may
// give a cell, which has its width already, a color.
func writeTable(text *strings.Builder, table [][]string, paint func(line, column int, cell string) string) {
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for line, cells := range table {
		var out strings.Builder
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if title := table[0][i]; title == "APPLIED" || title == "LAG" {
				cell = pad + cell
			} else if i < len(cells)-1 {
				cell += pad
			}
			out.WriteString(" " + paint(line, i, cell))
			if i > 0 {
				out.WriteString(" ")
			}
		}
		text.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
}

// age is a time span as people read it: two units at most.
func age(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// brief is a time span that may be less than a second.
func brief(seconds float64) string {
	if seconds < 1 {
		return strconv.Itoa(int(seconds*1000)) + "ms"
	}
	return age(time.Duration(seconds * float64(time.Second)))
}

// share is a part of a whole, in MiB or, of much, in GiB.
func share(part, whole int64) string {
	if whole >= 10<<30 {
		return fmt.Sprintf("%.1f/%.1fG", float64(part)/(1<<30), float64(whole)/(1<<30))
	}
	return fmt.Sprintf("%d/%dM", (part+1<<19)>>20, whole>>20)
}
