package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"raftcached/internal/admin"

	"github.com/spf13/cobra"
)

var leasesChoices = []string{"off", "leader", "all"}

func (c *ctl) newLeases() *cobra.Command {
	return &cobra.Command{
		Use:   "leases [off|leader|all]",
		Short: "Show or change which servers answer reads without asking the others",
		Long: `leases says how linearizable reads are answered. With off each read waits for a
majority. With leader the leader answers by itself, for as long as a majority has
promised to elect nobody else; with all it lets the others answer too, and writes wait
for those that clients read at. Reads are right as long as the monotonic clocks of the
servers run within 10 % of each other's rate.

Without an argument it shows what the cluster has. A change is in the log, and takes
effect at once on all servers, whatever their server.json says.

` + memberExits,
		Example: `  raftcachectl leases
  raftcachectl leases all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && !slices.Contains(leasesChoices, args[0]) {
				return fmt.Errorf("leases %q are unknown: write off, leader or all", strings.Join(args, " "))
			}
			return nil
		},
		ValidArgs: leasesChoices,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.showLeases(cmd.Context())
			}
			return c.operate(cmd.Context(), &operation{name: admin.MemberLeases, id: -1, leases: args[0]})
		},
	}
}

// showLeases shows what the cluster has, and what each server has of it.
func (c *ctl) showLeases(ctx context.Context) error {
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	if v.Leases == "" {
		return errors.New("no server tells which leases there are: those that answer start, or are of an older version")
	}
	return c.say("leases are %s\n", v.Leases)
}
