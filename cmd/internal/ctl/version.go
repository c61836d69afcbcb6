package ctl

import (
	"fmt"

	"raftcached"

	"github.com/spf13/cobra"
)

// newVersion is --version for who looks for a command. No server is asked: status says what
// they run.
func (c *ctl) newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of raftcachectl",
		Long: `version prints the version of raftcachectl, as --version does. It asks no server.

Exit code: 0, or 64 if the command line is wrong.`,
		Example: `  raftcachectl version`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(c.Stdout, "raftcachectl %s\n", raftcached.Version)
			return err
		},
	}
}
