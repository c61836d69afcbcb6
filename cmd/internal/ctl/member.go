package ctl

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"

	"github.com/spf13/cobra"
)

// operateTimeout is how long a server may take to carry out an operation: it gives up
// by itself before.
const operateTimeout = 25 * time.Second

// memberFlags are the flags of the operations.
type memberFlags struct {
	host                        string
	port, logPort               int
	learner, force, yes, noWait bool
}

// operation is one operation on the members.
type operation struct {
	name  string // of the command and of the admin port
	flags memberFlags
	id    int // -1: none was named

	leases string // of admin.MemberLeases
}

const memberExits = `Exit code: 0 it is done; 1 it was refused or failed; 2 there is no majority, or no
server answers; 64 the command line is wrong.`

func (c *ctl) newMember() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member COMMAND",
		Short: "Show and change who belongs to the cluster",
		Long: `member shows the servers of the cluster, adds, replaces and removes servers, and
moves leadership or addresses. Each change is made by the leader, once a majority
agrees; any server passes it on.

A server takes changes from its own machine. If its admin port is open to others
(adminHost in server.json), it takes them from all who know the cluster's secret: from
server.json, or --secret-file; if the servers have certificates, from the operator's alone.

` + memberExits,
		Example: `  raftcachectl member list
  raftcachectl member replace 1 --host 10.0.0.9
  raftcachectl member add 3 --host 10.0.0.4
  raftcachectl member transfer 2`,
		Args: oneCommand,
		RunE: nothing,
	}
	cmd.AddCommand(c.newMemberList(), c.newMemberAdd(), c.newMemberReplace(), c.newMemberRemove(), c.newMemberPromote(), c.newMemberMove(), c.newMemberTransfer())
	return cmd
}

func (c *ctl) newMemberAdd() *cobra.Command {
	o := &operation{name: admin.MemberAdd}
	cmd := c.newOperation(o, "add ID --host HOST", "Let a new server come in", `add has the cluster await a server with the given id, and says how to start it there
with an empty data folder. It comes in without a vote, fetches what the others have,
and gets its vote by itself. With --learner it never does: it is a read replica, which
serves and does not count for majorities. Ports that are not given are those of the
server that is asked.`, `  raftcachectl member add 3 --host 10.0.0.4
  raftcachectl member add 4 --host 10.0.1.1 --learner`)
	o.flags.addresses(cmd)
	o.flags.waiting(cmd)
	cmd.Flags().BoolVar(&o.flags.learner, "learner", false, "a read replica: it never gets a vote")
	return cmd
}

func (c *ctl) newMemberReplace() *cobra.Command {
	o := &operation{name: admin.MemberReplace}
	cmd := c.newOperation(o, "replace ID", "Replace the data folder, or the machine, of a server", `replace retires the data folder of a server for good: nobody listens to it any more.
Then an empty folder takes its place under the same id, on the same machine or on
another one. There are never fewer votes than before.`, `  raftcachectl member replace 1
  raftcachectl member replace 1 --host 10.0.0.9`)
	o.flags.addresses(cmd)
	o.flags.waiting(cmd)
	o.flags.givingUp(cmd)
	return cmd
}

func (c *ctl) newMemberRemove() *cobra.Command {
	o := &operation{name: admin.MemberRemove}
	cmd := c.newOperation(o, "remove ID", "Remove a server for good", `remove ends that a server belongs to the cluster. Its data folder never can again: a
server that is to come back comes in with "member add" and an empty folder. If it
leads, another one does first. It stops by itself when it is told.`, `  raftcachectl member remove 4`)
	o.flags.givingUp(cmd)
	return cmd
}

func (c *ctl) newMemberPromote() *cobra.Command {
	o := &operation{name: admin.MemberPromote}
	cmd := c.newOperation(o, "promote ID", "Give a read replica a vote", `promote gives a vote to a server that was added with --learner. It must have caught
up. Others get theirs by themselves.`, `  raftcachectl member promote 4`)
	o.flags.forced(cmd)
	return cmd
}

func (c *ctl) newMemberMove() *cobra.Command {
	o := &operation{name: admin.MemberMove}
	cmd := c.newOperation(o, "move ID", "Change the host or the ports of a server", `move tells the cluster that a server, with the data folder that it has, is reached at
another host or other ports. What is not given stays.`, `  raftcachectl member move 2 --host 10.0.0.7`)
	o.flags.addresses(cmd)
	return cmd
}

func (c *ctl) newMemberTransfer() *cobra.Command {
	o := &operation{name: admin.MemberTransfer}
	return c.newOperation(o, "transfer [ID]", "Move leadership to a server", `transfer has a server lead that has a vote; without an ID the one that is the most
advanced, but the leader. Writes wait for a few milliseconds.`, `  raftcachectl member transfer 2
  raftcachectl member transfer`)
}

func (f *memberFlags) addresses(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.host, "host", "", "name or address at which clients and servers reach it")
	cmd.Flags().IntVar(&f.port, "port", 0, "its port for clients")
	cmd.Flags().IntVar(&f.logPort, "log-port", 0, "its port for the other servers")
}

func (f *memberFlags) waiting(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait until the server has come in")
}

func (f *memberFlags) givingUp(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask, although the server is alive")
	f.forced(cmd)
}

func (f *memberFlags) forced(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.force, "force", false, "even if too few servers with a vote can be reached then")
}

// newOperation makes the command of an operation.
func (c *ctl) newOperation(o *operation, use, short, long, example string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long + "\n\n" + memberExits, Example: example,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			o.id, err = oneID(cmd, args, o.name == admin.MemberTransfer)
			if err == nil && o.name == admin.MemberAdd && o.flags.host == "" {
				err = fmt.Errorf("say where server %d is to run, by --host: run %q", o.id, cmd.CommandPath()+" --help")
			}
			if err == nil && o.name == admin.MemberMove && o.flags.host == "" && o.flags.port == 0 && o.flags.logPort == 0 {
				err = fmt.Errorf("say what changes, by --host, --port or --log-port: run %q", cmd.CommandPath()+" --help")
			}
			return err
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.operate(cmd.Context(), o) },
		ValidArgsFunction: c.completeIDs,
	}
}

// oneID is the argument of an operation.
func oneID(cmd *cobra.Command, args []string, optional bool) (int, error) {
	if len(args) == 0 && optional {
		return -1, nil
	}
	if len(args) != 1 {
		return 0, fmt.Errorf("name one server by its id, like 1: run %q", cmd.CommandPath()+" --help")
	}
	id, err := strconv.Atoi(args[0])
	if err != nil || id < 0 {
		return 0, fmt.Errorf("server %q is no id: write a number, like 1", args[0])
	}
	return id, nil
}

// completeIDs offers the ids of the servers.
func (c *ctl) completeIDs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	replies, err := c.gather(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, r := range overview.New(replies, c.newStarter()).Servers {
		ids = append(ids, fmt.Sprintf("%d\t%s", r.ID, r.Address))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// operate carries an operation out, and shows what comes of it.
func (c *ctl) operate(ctx context.Context, o *operation) error {
	err := c.perform(ctx, o)
	if errors.Is(err, errNobody) || errors.Is(err, errNoMajority) {
		c.complain(err)
		return exitError(exitNoMajority)
	}
	return err
}

var errNoMajority = errors.New("the cluster cannot agree on anything")

func (c *ctl) perform(ctx context.Context, o *operation) error {
	replies, err := c.gather(ctx)
	if err != nil {
		return err
	}
	v := overview.New(replies, c.newStarter())
	if text := v.Lost(); text != "" {
		return fmt.Errorf("%w: %s. %s %s", errNoMajority, text, overview.LostHelp, overview.LostWord)
	}
	if err := c.confirm(o, v); err != nil {
		return err
	}
	client, err := c.newClient()
	if err != nil {
		return err
	}
	defer client.Close()
	before, err := anyMembers(ctx, client, replies)
	if err != nil {
		return err
	}
	after, err := c.submit(ctx, client, o, replies)
	if err != nil {
		if v.Verdict == overview.NoMajority && !isRefusal(err) {
			return fmt.Errorf("%w: %w", errNoMajority, err)
		}
		return err
	}
	return c.follow(ctx, o, v, before, after)
}

func isRefusal(err error) bool {
	var refusal *admin.RefusedError
	return errors.As(err, &refusal)
}

// request is what the admin port is asked for.
func (o *operation) request() *admin.MemberRequest {
	r := &admin.MemberRequest{
		Host: o.flags.host, Port: o.flags.port, LogPort: o.flags.logPort, Learner: o.flags.learner, Force: o.flags.force, Leases: o.leases,
	}
	if o.id >= 0 {
		r.ID = &o.id
	}
	return r
}

// submit asks one server after the other, the leader first and the one that the
// operation is about last: until one is there that takes operations from here. Once
// one has taken it, no other one is asked.
func (c *ctl) submit(ctx context.Context, client *admin.Client, o *operation, replies []overview.Reply) (*admin.MemberList, error) {
	var first, others, last []overview.Reply
	for _, r := range replies {
		switch {
		case r.Status == nil:
		case r.Status.ID == o.id && o.name != admin.MemberTransfer:
			last = append(last, r)
		case r.Status.Role == "leader":
			first = append(first, r)
		default:
			others = append(others, r)
		}
	}
	var failed error
	for _, r := range append(append(first, others...), last...) {
		ctx, cancel := context.WithTimeout(ctx, max(c.timeout, operateTimeout))
		list, err := client.Operate(ctx, r.Addr, o.name, o.request())
		cancel()
		var refusal *admin.RefusedError
		if err == nil || errors.As(err, &refusal) && !refusal.Forbidden || !isRefusal(err) && !admin.NotReached(err) {
			return list, err
		}
		failed = err
	}
	return nil, failed
}

// anyMembers asks for the members until a server tells them.
func anyMembers(ctx context.Context, client *admin.Client, replies []overview.Reply) (list *admin.MemberList, err error) {
	for _, r := range replies {
		if r.Status == nil {
			continue
		}
		var got *admin.MemberList
		if got, err = client.Members(ctx, r.Addr); err == nil && (list == nil || got.Version > list.Version) {
			list = got
		}
	}
	if list == nil {
		return nil, fmt.Errorf("no server tells its members: %w", err)
	}
	return list, nil
}

// confirm asks before the data of a server that is alive is given up.
func (c *ctl) confirm(o *operation, v *overview.View) error {
	if o.name != admin.MemberReplace && o.name != admin.MemberRemove || o.flags.yes {
		return nil
	}
	for i := range v.Servers {
		r := &v.Servers[i]
		if r.ID != o.id || r.State == overview.StateUnreachable || r.Awaited {
			continue
		}
		what := map[string]string{admin.MemberReplace: "replaced", admin.MemberRemove: "removed"}[o.name]
		question := fmt.Sprintf("server %d at %s is alive (%s): when it is %s, its data folder is given up for good", r.ID, r.Address, r.State, what)
		if err := c.ask(question, strconv.Itoa(o.id)); err != nil {
			return err
		}
	}
	return nil
}
