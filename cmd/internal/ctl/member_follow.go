package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"

	"github.com/spf13/cobra"
)

// memberPause is how often the state of a server that comes in is looked at.
const memberPause = time.Second

func (c *ctl) newMemberList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show who belongs to the cluster, as the log has it",
		Long: `list shows the members as the log of the cluster has them: each data folder, and the
places of those that are awaited. "raftcachectl status" shows how they are.

Exit code: 0 it is done; 1 it failed; 2 no server answers; 64 the command line is
wrong.`,
		Example: `  raftcachectl member list
  raftcachectl member list -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listMembers(cmd.Context(), output) },
	}
	addOutput(cmd, &output)
	return cmd
}

func (c *ctl) listMembers(ctx context.Context, output string) error {
	replies, err := c.gather(ctx)
	if errors.Is(err, errNobody) {
		c.complain(err)
		return exitError(exitNoMajority)
	} else if err != nil {
		return err
	}
	client, err := c.newLooker()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := anyMembers(ctx, client, replies)
	if err != nil {
		return err
	}
	if output == "json" {
		text, err := json.MarshalIndent(list, "", "  ")
		if err == nil {
			_, err = c.Stdout.Write(append(text, '\n'))
		}
		return err
	}
	_, err = fmt.Fprint(c.Stdout, memberTable(list))
	return err
}

// memberTable is the members for people.
func memberTable(list *admin.MemberList) string {
	var text strings.Builder
	fmt.Fprintf(&text, "members, after %d changes\n", list.Version)
	table := [][]string{{"ID", "CLIENTS AT", "SERVERS AT", "VOTE", "DATA FOLDER"}}
	for _, m := range list.Members {
		clients := "-"
		if m.Port != 0 {
			clients = hostPort(m.Host, m.Port)
		}
		vote, folder := "yes", m.Folder
		switch {
		case m.Folder == "":
			vote, folder = "not yet", "awaited"
		case m.Retired:
			vote, folder = "of the next folder", overview.Short(m.Folder)+" retired"
		case m.Learner && m.Stays:
			vote = "no: a read replica"
		case m.Learner:
			vote = "not yet"
		}
		if m.Folder != "" && !m.Retired {
			folder = overview.Short(m.Folder)
		}
		table = append(table, []string{strconv.Itoa(m.ID), clients, hostPort(m.Host, m.LogPort), vote, folder})
	}
	writeTable(&text, table, func(_, _ int, cell string) string { return cell })
	return text.String()
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// follow says what was done, and what is to do now, and waits for it.
func (c *ctl) follow(ctx context.Context, o *operation, v *overview.View, before, after *admin.MemberList) error {
	switch o.name {
	case admin.MemberRemove:
		return c.say("server %d is no member any more. If it is alive it is told, and stops; its data folder is of no use: delete it\n", o.id)
	case admin.MemberPromote:
		return c.say("server %d votes\n", o.id)
	case admin.MemberMove:
		return c.say("server %d is at %s for the others%s\n", o.id, addressOf(after, o.id), forClients(after, o.id))
	case admin.MemberTransfer:
		return c.transferred(ctx)
	case admin.MemberLeases:
		return c.say("leases are %s\n", after.Leases)
	}
	if err := c.say(" 1/4 majority (%s) agrees  ok\n", join(serving(v, o.id))); err != nil {
		return err
	}
	second := fmt.Sprintf("server %d is awaited at %s", o.id, addressOf(after, o.id))
	if i := folderOf(before, o.id); i >= 0 {
		second = fmt.Sprintf("folder %s is retired  ok  it can never vote again", overview.Short(before.Members[i].Folder))
	}
	err := c.say(" 2/4 %s\n     start it at %s, with an empty data folder:\n       %s\n", second, addressOf(after, o.id), startCommand(v, after, o.id))
	if err == nil && !v.Start.Lists(o.id, addressOf(after, o.id)) {
		err = c.say("     later starts need no -join: the folder knows. With -admin-listen HOST:PORT raftcachectl can ask it\n")
	}
	if err != nil || o.flags.noWait {
		return err
	}
	return c.awaitMember(ctx, o)
}

func (c *ctl) say(format string, args ...any) error {
	_, err := fmt.Fprintf(c.Stdout, format, args...)
	return err
}

func (c *ctl) transferred(ctx context.Context) error {
	replies, err := c.gather(ctx)
	if err != nil {
		return err
	}
	for _, r := range replies {
		if r.Status != nil && r.Status.LeaderID >= 0 {
			return c.say("server %d leads\n", overview.Best(replies).LeaderID)
		}
	}
	return c.say("leadership was moved\n")
}

// serving are the servers with a vote that are well, without one.
func serving(v *overview.View, but int) (ids []int) {
	for i := range v.Servers {
		if r := &v.Servers[i]; r.ID != but && r.Votes() && r.Well() {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// folderOf returns the position of a server's folder that is not retired, or -1.
func folderOf(list *admin.MemberList, id int) int {
	return slices.IndexFunc(list.Members, func(m admin.MemberInfo) bool { return m.ID == id && m.Folder != "" && !m.Retired })
}

// addressOf returns where the other servers reach one: the folder that is to stay.
func addressOf(list *admin.MemberList, id int) (addr string) {
	for _, m := range list.Members {
		if m.ID == id && !m.Retired {
			addr = hostPort(m.Host, m.LogPort)
		}
	}
	return addr
}

// forClients says where clients reach a server, if the cluster knows it.
func forClients(list *admin.MemberList, id int) string {
	i := folderOf(list, id)
	if i < 0 || list.Members[i].Port == 0 {
		return ""
	}
	return ", and at " + hostPort(list.Members[i].Host, list.Members[i].Port) + " for clients"
}

// startCommand is what starts a server that is awaited.
func startCommand(v *overview.View, list *admin.MemberList, id int) string {
	var others []string
	for _, m := range list.Members {
		if m.ID != id && m.Folder != "" && !m.Retired {
			others = append(others, hostPort(m.Host, m.LogPort))
		}
	}
	return v.Start.Command(&admin.Member{ID: id, LogAddress: addressOf(list, id)}, v.Known, others...)
}

// awaitMember waits until a server has come in and has its vote, or without one the
// state of the others.
func (c *ctl) awaitMember(ctx context.Context, o *operation) error {
	joining := &joining{id: o.id}
	joining.set("waits for the data folder of server " + strconv.Itoa(o.id))
	err := c.show(joining.text, func() error { return joining.run(ctx, c) })
	if err != nil {
		return fmt.Errorf("%w: the server is awaited all the same: see raftcachectl status", err)
	}
	if joining.replica {
		return c.say(" 3/4 it has joined  ok\n 4/4 it serves, without a vote: a read replica\n")
	}
	return c.say(" 3/4 it has joined  ok\n 4/4 it votes  ok  %s\n", joining.meaning)
}
