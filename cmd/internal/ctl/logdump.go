package ctl

import (
	"bufio"
	"encoding/json"
	"fmt"

	"raftcached/internal/offline"
	"raftcached/replication/disk"

	"github.com/spf13/cobra"
)

func (c *ctl) newLog() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log COMMAND",
		Short: "Look inside a server's data folder",
		Args:  oneCommand,
		RunE:  nothing,
	}
	cmd.AddCommand(c.newLogDump())
	return cmd
}

func (c *ctl) newLogDump() *cobra.Command {
	var (
		dir    string
		in     offline.Range
		output = "text"
	)
	cmd := &cobra.Command{
		Use:   "dump --data DIR",
		Short: "Print what the data folder of a stopped server holds",
		Long: `dump prints the identity, the snapshots and the log of a data folder: segments, marks,
terms and votes, and every entry with its operations, keys and sizes; values are not
shown. It changes nothing. The server must not run.

Damage is printed where it is, with what follows it. Entries that later ones have
replaced are printed too.

With --from or --to, only entries of these indexes are printed of the log.

Exit code: 0 nothing is damaged; 1 something is, or it failed; 64 the command line is
wrong.`,
		Example: `  raftcachectl log dump --data /var/lib/raftcached
  raftcachectl log dump --data /var/lib/raftcached --from 1204500 -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case dir == "":
				return fmt.Errorf("name the data folder with --data: run %q", cmd.CommandPath()+" --help")
			case output != "text" && output != "json":
				return fmt.Errorf("output %q is unknown: write -o text or -o json", output)
			case in.To != 0 && in.To < in.From:
				return fmt.Errorf("there is nothing from %d to %d: give --to a number that is not below --from", in.From, in.To)
			}
			return noArguments(cmd, args)
		},
		RunE: func(*cobra.Command, []string) error { return c.logDump(dir, in, output == "json") },
	}
	cmd.Flags().StringVar(&dir, "data", "", "the data folder, a `DIR`")
	cmd.Flags().Uint64Var(&in.From, "from", 0, "the first entry, an `INDEX`")
	cmd.Flags().Uint64Var(&in.To, "to", 0, "the last entry, an `INDEX`")
	cmd.Flags().StringVarP(&output, "output", "o", output, "text, for people, or json, one object a line, for programs")
	_ = cmd.MarkFlagDirname("data")                                                                                                    // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // so
	return cmd
}

func (c *ctl) logDump(dir string, in offline.Range, asJSON bool) error {
	out := bufio.NewWriter(c.Stdout)
	damaged := 0
	encoder := json.NewEncoder(out)
	err := offline.Dump(disk.OS(), dir, in, func(r *offline.Record) error {
		if r.Kind == offline.KindDamage || r.Entry != nil && r.Entry.Damage != "" {
			damaged++
		}
		if asJSON {
			return encoder.Encode(r)
		}
		return r.WriteText(out)
	})
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return err
	}
	if damaged > 0 {
		return fmt.Errorf("data folder %q is damaged in %d places", dir, damaged)
	}
	return nil
}
