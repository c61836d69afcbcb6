package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"raftcached/internal/overview"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func (c *ctl) newStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show all servers, what is wrong, and what helps",
		Long: `status asks all servers at once and shows them in one table. A server that does
not answer is shown as the others see it: since when they do not reach it, and why.

Exit code: 0 all is well; 1 the cluster serves but is degraded; 2 there is no
majority, or no server answers; 64 the command line, or a file that it names, is wrong.`,
		Example: `  raftcachectl status
  raftcachectl status --config /etc/raftcached/server.json
  raftcachectl status -s 10.0.0.1:11411,10.0.0.2:11411 -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return c.status(cmd.Context(), output) },
	}
	addOutput(cmd, &output)
	return cmd
}

func (c *ctl) status(ctx context.Context, output string) error {
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if _, err := c.Stdout.Write(append(text, '\n')); err != nil {
			return err
		}
	} else if err := writeView(c.Stdout, v, colors(isTerminal(c.Stdout) && c.Getenv("NO_COLOR") == "")); err != nil {
		return err
	}
	if code := exitCodeOf(v.Verdict); code != exitOK {
		return exitError(code)
	}
	return nil
}

// isTerminal reports whether people see what is written to something, or type what is
// read from it.
func isTerminal(stream any) bool {
	f, isFile := stream.(*os.File)
	if !isFile {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// look returns what the servers say of themselves. If none answers it says so, and the
// error is the exit code.
func (c *ctl) look(ctx context.Context) (*overview.View, error) {
	replies, err := c.gather(ctx)
	if errors.Is(err, errNobody) {
		c.complain(err)
		return nil, exitError(exitNoMajority)
	} else if err != nil {
		return nil, err
	}
	return overview.New(replies, c.newStarter()), nil
}

// exitCodeOf is the exit code of status.
func exitCodeOf(v overview.Verdict) int {
	return map[overview.Verdict]int{overview.OK: exitOK, overview.Degraded: exitFailed, overview.NoMajority: exitNoMajority}[v]
}
