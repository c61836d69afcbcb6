package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

const (
	topPause    = time.Second
	topEvents   = 8  // lines of a server log that are shown
	topKeys     = 5  // hot keys
	topSlow     = 3  // slow commands
	topColumns  = 80 // of what is no terminal, or does not say
	topKeyRunes = 40 // of a key; the rest is cut off
)

func (c *ctl) newTop() *cobra.Command {
	rounds := 0
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the cluster: servers, throughput, latency, hot keys, events",
		Long: `top shows every second what status shows, and what the cluster does: reads and writes
per second, the share of reads that found something, latencies, hot keys, slow commands and
the last lines of the log of the server that knows the most. Latencies are of the last
second: of reads and writes as clients see them, of commits at the leader, of syncs of the
raft log. The page of each server's admin port shows the same in a browser.

It ends with q or Ctrl-C. What is no terminal gets one text after the other.

Exit code: as that of status, of what was shown last; 64 the command line is wrong.`,
		Example: `  raftcachectl top
  raftcachectl top -n 1 -s 10.0.0.1:11411`,
		Args: func(cmd *cobra.Command, args []string) error {
			if rounds < 0 {
				return fmt.Errorf("%d times are too few: write -n 1 or more, or nothing", rounds)
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return c.top(cmd.Context(), rounds) },
	}
	cmd.Flags().IntVarP(&rounds, "times", "n", 0, "end after so many times; 0: go on")
	return cmd
}

// top shows snapshots until it was done so often, or is told to end.
func (c *ctl) top(ctx context.Context, rounds int) (err error) {
	client, err := c.newLooker()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	show := func(text string) error {
		_, err := io.WriteString(c.Stdout, text)
		return err
	}
	terminal := isTerminal(c.Stdout) && rounds != 1
	if out, isFile := c.Stdout.(*os.File); isFile && terminal {
		s, err := openScreen(out, c.Stdin, quit)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		show = s.draw
	}
	code := exitOK
	before, _ := c.sample(ctx, client) // rates need two
	for round := 1; ; round++ {
		select {
		case <-time.After(topPause):
		case <-ctx.Done():
			return ended(code)
		}
		now, err := c.sample(ctx, client)
		var text string
		switch {
		case ctx.Err() != nil:
			return ended(code)
		case errors.Is(err, errNobody):
			code, text = exitNoMajority, err.Error()+"\n"
		case err != nil:
			return err
		default:
			shot := overview.NewSnapshot(before, now, -1, c.newStarter())
			code, text = exitCodeOf(shot.View.Verdict), topText(shot, colors(isTerminal(c.Stdout) && c.Getenv("NO_COLOR") == ""))
			before = now
		}
		if terminal {
			text = redrawn(text, c.Stdout)
		} else if round > 1 {
			text = "\n" + text
		}
		if err := show(text); err != nil {
			return err
		}
		if round == rounds {
			return ended(code)
		}
	}
}

// ended is the end of a command with an exit code.
func ended(code int) error {
	if code == exitOK {
		return nil
	}
	return exitError(code)
}

// sample asks all servers for their status and figures.
func (c *ctl) sample(ctx context.Context, client *admin.Client) (*overview.Sample, error) {
	seeds, err := c.seeds()
	if err != nil {
		return nil, err
	}
	replies := overview.Gather(ctx, figures{client}, c.timeout, seeds)
	if overview.Best(replies) == nil {
		return nil, nobodyAnswers(replies)
	}
	return &overview.Sample{At: time.Now(), Replies: replies}, nil
}

// figures asks for a status with figures. It is an overview.Asker.
type figures struct{ client *admin.Client }

// Status implements overview.Asker.
func (f figures) Status(ctx context.Context, addr string) (*admin.Status, error) {
	return f.client.StatusWithFigures(ctx, addr)
}

// redrawn is a text in place of the one that a terminal shows: its lines as long as the
// terminal is wide, and as many as it has.
func redrawn(text string, terminal io.Writer) string {
	columns, lines := topColumns, 0
	if f, isFile := terminal.(*os.File); isFile {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			columns, lines = int(size.Col), int(size.Row)
		}
	}
	var out strings.Builder
	out.WriteString(toTop)
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if lines > 0 && i == lines {
			break
		}
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(clipped(line, columns) + clearLine)
	}
	out.WriteString(clearBelow)
	return out.String()
}

// clipped is the beginning of a line with at most so many columns. Escapes take none, and
// those that are cut off are made up for.
func clipped(line string, columns int) string {
	escape := false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case columns == 0:
			return line[:i] + "\x1b[0m"
		default:
			columns--
		}
	}
	return line
}

// topText is a snapshot for people.
func topText(s *overview.Snapshot, c colors) string {
	var text strings.Builder
	_ = writeViewWith(&text, s.View, c, s.ClusterVersion) // a Builder takes everything
	elections := "-"
	if s.Elections != nil {
		elections = strconv.Itoa(*s.Elections)
	}
	if r := s.Rates; r == nil {
		fmt.Fprintf(&text, "\n no rates yet | leaders in the last hour %s\n", elections)
	} else {
		hits := "-"
		if r.Hits != nil {
			hits = fmt.Sprintf("%.1f", 100**r.Hits)
		}
		fmt.Fprintf(&text, "\n %s reads/s  %s writes/s  %s %% hits | leaders in the last hour %s\n", count(r.Reads), count(r.Writes), hits, elections)
		fmt.Fprintf(&text, " ms p50/p99: read %s  write %s  commit %s | sync p99 %s\n", pair(r.ReadP50, r.ReadP99), pair(r.WriteP50, r.WriteP99), pair(r.CommitP50, r.CommitP99), inMs(r.SyncP99))
	}
	for i, k := range s.HotKeys[:min(len(s.HotKeys), topKeys)] {
		fmt.Fprintf(&text, " %-9s %7s reads/s %6s writes/s  %s\n", first(i, "HOT KEYS"), count(k.Reads), count(k.Writes), cutKey(k.Key))
	}
	for i, k := range s.Slow[:min(len(s.Slow), topSlow)] {
		fmt.Fprintf(&text, " %-9s %s server %d %s %s %.0f ms (%s)\n", first(i, "SLOW"), overview.Clock(k.At), k.Server, k.Command, cutKey(k.Key), k.Ms, causesText(k.Causes))
	}
	for i, e := range s.Events[:min(len(s.Events), topEvents)] {
		fmt.Fprintf(&text, " %-9s %s %-5s %s\n", first(i, "EVENTS "+strconv.Itoa(s.Server)), overview.Clock(e.At), strings.ToLower(e.Level), e.Text)
	}
	return text.String()
}

// first is a title of the first of some lines.
func first(i int, title string) string {
	if i > 0 {
		return ""
	}
	return title
}

// count is a number a second as people read it.
func count(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func inMs(n *float64) string {
	switch {
	case n == nil:
		return "-"
	case *n < 10:
		return fmt.Sprintf("%.2f", *n)
	}
	return fmt.Sprintf("%.0f", *n)
}

func pair(a, b *float64) string { return inMs(a) + "/" + inMs(b) }

func cutKey(key string) string {
	if utf8.RuneCountInString(key) <= topKeyRunes {
		return key
	}
	return string([]rune(key)[:topKeyRunes-1]) + "…"
}
