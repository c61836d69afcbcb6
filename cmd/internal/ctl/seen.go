package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/internal/admin"

	"github.com/spf13/cobra"
)

// shownMax is how many lines a table of keys or commands has at most. With -o json all that
// the servers keep are told.
const shownMax = 32

func (c *ctl) newHotKeys() *cobra.Command {
	return c.newSeen("hotkeys", "Show the keys that clients ask for most",
		`hotkeys asks all servers which keys their clients ask for most, and adds up what they
tell: estimates from one key of 64, over the last minutes. Bytes that are no letters
are escaped as in an URI.`,
		func(ctx context.Context, output string) error {
			return showSeen(ctx, c, output, (*admin.Client).HotKeys, writeHotKeys)
		})
}

func (c *ctl) newSlow() *cobra.Command {
	return c.newSeen("slow", "Show the last slow commands, and what they waited for",
		`slow asks all servers for the last commands that took as long as slowMs, 100 ms unless
server.json says otherwise, and shows the newest. Causes may overlap: the leader was not
known, the server's own disk, the holder of a lease, applying entries, confirmation by a
majority, a change of the item, room for more writes, order behind others, the client.`,
		func(ctx context.Context, output string) error {
			return showSeen(ctx, c, output, (*admin.Client).Slow, writeSlow)
		})
}

func (c *ctl) newSeen(name, short, long string, run func(ctx context.Context, output string) error) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: name, Short: short,
		Long:    long + "\n\nExit code: 0 at least one server has told; 1 none has; 64 the command line is wrong.",
		Example: fmt.Sprintf("  raftcachectl %s\n  raftcachectl %s -s 10.0.0.1:11411 -o json", name, name),
		Args: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), output) },
	}
	addOutput(cmd, &output)
	return cmd
}

// showSeen asks each server that answers for something, and writes what they tell.
func showSeen[T any](ctx context.Context, c *ctl, output string, ask func(*admin.Client, context.Context, string) (*T, error), write func(io.Writer, []*T) error) error {
	replies, err := c.gather(ctx)
	if err != nil {
		return err
	}
	client, err := c.newLooker()
	if err != nil {
		return err
	}
	defer client.Close()
	var (
		told   []*T
		failed error
	)
	for _, r := range replies {
		if r.Status == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		one, err := ask(client, ctx, r.Addr)
		cancel()
		if err != nil {
			failed = fmt.Errorf("server %d at %s does not tell: %w", r.Status.ID, r.Addr, err)
			c.complain(failed)
			continue
		}
		told = append(told, one)
	}
	if len(told) == 0 {
		return exitError(exitFailed) // each has been complained of
	}
	if output == "json" {
		text, err := json.MarshalIndent(told, "", "  ")
		if err != nil {
			return err
		}
		_, err = c.Stdout.Write(append(text, '\n'))
		return err
	}
	return write(c.Stdout, told)
}

// writeHotKeys writes the keys of all servers, the one that is asked for most first.
func writeHotKeys(w io.Writer, servers []*admin.HotKeys) error {
	type row struct {
		admin.HotKey
		servers []string
	}
	rows := map[string]*row{}
	counted := false
	for _, s := range servers {
		counted = counted || s.Counted
		for _, k := range s.Keys {
			r := rows[k.Key]
			if r == nil {
				r = &row{HotKey: admin.HotKey{Key: k.Key}}
				rows[k.Key] = r
			}
			r.Reads, r.Writes, r.servers = r.Reads+k.Reads, r.Writes+k.Writes, append(r.servers, strconv.Itoa(s.ID))
		}
	}
	if len(rows) == 0 {
		text := "no key is asked for often\n"
		if !counted {
			text = "no server looks which keys are hot: disableHotKeys is set\n"
		}
		_, err := io.WriteString(w, text)
		return err
	}
	sorted := slices.SortedFunc(maps.Values(rows), func(a, b *row) int {
		return cmp.Or(cmp.Compare(b.Reads+b.Writes, a.Reads+a.Writes), cmp.Compare(a.Key, b.Key))
	})
	table := [][]string{{"READS/S", "WRITES/S", "SERVERS", "KEY"}}
	for _, r := range sorted[:min(len(sorted), shownMax)] {
		table = append(table, []string{fmt.Sprintf("%.0f", r.Reads), fmt.Sprintf("%.0f", r.Writes), strings.Join(r.servers, ","), r.Key})
	}
	return writePlain(w, table)
}

// writeSlow writes the newest slow commands of all servers.
func writeSlow(w io.Writer, servers []*admin.SlowCommands) error {
	type row struct {
		admin.SlowCommand
		id int
	}
	var rows []row
	for _, s := range servers {
		for _, c := range s.Commands {
			rows = append(rows, row{c, s.ID})
		}
	}
	if len(rows) == 0 {
		_, err := io.WriteString(w, "no command was slow\n")
		return err
	}
	slices.SortStableFunc(rows, func(a, b row) int { return b.At.Compare(a.At) })
	table := [][]string{{"AT", "ID", "COMMAND", "MS", "WAITED FOR", "KEY"}}
	for _, r := range rows[:min(len(rows), shownMax)] {
		table = append(table, []string{
			r.At.Local().Format(time.DateTime), strconv.Itoa(r.id), r.Command, fmt.Sprintf("%.1f", r.Ms), causesText(r.Causes), r.Key,
		})
	}
	return writePlain(w, table)
}

// causesText names causes with their milliseconds, the longest first.
func causesText(causes map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(causes), func(a, b string) int {
		return cmp.Or(cmp.Compare(causes[b], causes[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		if causes[name] >= 1 {
			parts = append(parts, fmt.Sprintf("%s %.0f", name, causes[name]))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

func writePlain(w io.Writer, table [][]string) error {
	var text strings.Builder
	writeTable(&text, table, func(_, _ int, cell string) string { return cell })
	_, err := io.WriteString(w, text.String())
	return err
}
