package ctl

import (
	"context"
	"fmt"

	"raftcached/internal/admin"

	"github.com/spf13/cobra"
)

func (c *ctl) newReady() *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "Check that a server serves clients, for probes",
		Long: `ready asks the servers that are named, and no others, whether they serve clients: what
/readyz of their admin ports says. It is for probes that run a program, as the health
check of a container does; how the cluster is does not matter to it. Where the admin
port asks for certificates, and the probe is to have none, start the server with
--health-listen, and ask there.

Exit code: 0 each of them serves; 1 one does not, or does not answer; 64 the command
line is wrong.`,
		Example: `  raftcachectl ready --server 127.0.0.1:11411`,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.ready(cmd.Context()) },
	}
}

func (c *ctl) ready(ctx context.Context) error {
	servers, err := c.seeds()
	if err != nil {
		return err
	}
	client, err := c.newLooker()
	if err != nil {
		return err
	}
	defer client.Close()
	all := true
	for _, addr := range servers {
		ready, why, err := c.askReady(ctx, client, addr)
		all = all && ready
		if err != nil && ctx.Err() != nil {
			return err
		} else if err != nil {
			c.complain(fmt.Errorf("%s does not say that it is ready: %s", addr, admin.Why(err)))
			continue
		}
		if len(servers) > 1 {
			why = addr + " " + why
		}
		if _, err := fmt.Fprintln(c.Stdout, why); err != nil {
			return err
		}
	}
	if !all {
		return exitError(exitFailed)
	}
	return nil
}

// askReady asks one server, no longer than --timeout says.
func (c *ctl) askReady(ctx context.Context, client *admin.Client, addr string) (ready bool, why string, err error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return client.Ready(limited, addr)
}
