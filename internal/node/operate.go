package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/settings"
	"raftcached/replication"
	"raftcached/replication/peer"
)

// operatePatience bounds an operation on the members: several elections, and less
// than the admin port gives a request.
const operatePatience = 15 * time.Second

// lostPatience is how long an operation waits for a majority that is out of reach: servers
// that start, or whose connections were cut, are back by then.
const lostPatience = time.Second

// The bounds of what an operator says of a member.
const (
	memberHostBytesMax = 255
	memberPortMax      = 1<<16 - 1
	memberIDMax        = 1<<31 - 1
)

var errNotServingYet = errors.New("this server has not started yet: ask another one, or wait")

// Members implements admin.Node.
func (n adminNode) Members(context.Context) (*admin.MemberList, error) {
	if n.life.stage.Load() < stageServing {
		return nil, errNotServingYet
	}
	m := n.replica.Members()
	list := &admin.MemberList{Version: m.Version, Leases: n.leases(), Members: []admin.MemberInfo{}}
	for i := range m.Members {
		o := &m.Members[i]
		info := admin.MemberInfo{
			ID: o.ServerID, Host: o.Host, Port: n.clientPort(o), LogPort: o.LogPort,
			Learner: o.Learner || m.TakesOver(o.RaftID) || m.Promotes(o.RaftID), Stays: o.Stays, Retired: o.Retired,
		}
		if o.RaftID != 0 {
			info.Folder = o.Directory.String()
		}
		list.Members = append(list.Members, info)
	}
	return list, nil
}

// Operate implements admin.Node. The change is made by whoever leads.
func (n adminNode) Operate(ctx context.Context, operation string, r *admin.MemberRequest) error {
	if n.life.stage.Load() < stageServing {
		return errNotServingYet
	}
	ctx, cancel := context.WithTimeout(ctx, operatePatience)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go n.watchMajority(ctx, giveUp)
	var c replication.MemberChange
	var err error
	if operation == admin.MemberTransfer {
		to := replication.AnyServer
		if r.ID != nil {
			to = *r.ID
		}
		err = n.replica.Transfer(ctx, to)
	} else if c, err = n.changeOf(operation, r); err == nil {
		err = n.replica.Change(ctx, c)
	}
	switch {
	case err == nil, n.isRemovedBy(&c):
		n.cfg.Logger.Info("an operator has changed the cluster", "operation", operation, "server", describeRequest(r))
		return nil
	case n.replica.Err() != nil:
		return fmt.Errorf("this server stops: %w", err)
	case errors.Is(context.Cause(ctx), errVotersLost):
		return errVotersLost
	case ctx.Err() != nil:
		return errors.New("no leader has agreed in time, and it may still happen: see raftcachectl status and member list")
	}
	return &admin.RefusedError{Reason: err.Error()}
}

// isRemovedBy reports whether a change was to remove or retire this server's folder, and a
// member has told that this is done, and settled. Nothing else tells who is removed.
func (n *Node) isRemovedBy(c *replication.MemberChange) bool {
	removes := c.Kind == replication.ChangeRemove || c.Kind == replication.ChangeReplace
	return removes && c.ServerID == n.cfg.ServerID && errors.As(n.replica.Err(), new(*peer.RemovedError))
}

// errVotersLost is the error of a change that nobody can agree to.
var errVotersLost = errors.New("no majority of the servers can be reached: start those that are down; if they are lost for good, see `raftcachectl recover`")

// watchMajority gives up what ctx is for once no majority of the voters was reached for a
// while. It returns when ctx ends.
func (n adminNode) watchMajority(ctx context.Context, giveUp func(error)) {
	tick := time.NewTicker(narratePeriod)
	defer tick.Stop()
	for since := time.Now(); ; {
		if r := n.reach(); r.reached >= r.majority || n.Removed() { // who is removed waits to be told
			since = time.Now()
		} else if time.Since(since) > lostPatience {
			giveUp(errVotersLost)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func describeRequest(r *admin.MemberRequest) string {
	if r.ID == nil {
		return "any"
	}
	return fmt.Sprint(*r.ID)
}

// changeOf returns the change that an operator's request stands for. What it leaves
// out is as it was, or for a server that comes in as at this one.
func (n adminNode) changeOf(operation string, r *admin.MemberRequest) (c replication.MemberChange, err error) {
	kinds := map[string]replication.ChangeKind{
		admin.MemberAdd: replication.ChangePrepare, admin.MemberReplace: replication.ChangeReplace, admin.MemberRemove: replication.ChangeRemove,
		admin.MemberPromote: replication.ChangePromote, admin.MemberMove: replication.ChangeMove, admin.MemberLeases: replication.ChangeLeases,
	}
	if operation == admin.MemberLeases {
		c = replication.MemberChange{Kind: kinds[operation], Leases: leasesOf(r.Leases)}
		if c.Leases.String() != r.Leases {
			return c, fmt.Errorf("leases %q are unknown: say off, leader or all", r.Leases)
		}
		return c, nil
	}
	c = replication.MemberChange{
		Kind: kinds[operation], ServerID: *r.ID, Host: settings.BareHost(r.Host), ClientPort: r.Port, LogPort: r.LogPort, Stays: r.Learner, Force: r.Force,
	}
	switch {
	case c.ServerID < 0 || c.ServerID > memberIDMax:
		return c, fmt.Errorf("id %d of a server is out of range: 0 to %d", c.ServerID, memberIDMax)
	case len(c.Host) > memberHostBytesMax:
		return c, fmt.Errorf("a host of %d bytes is too long: at most %d", len(c.Host), memberHostBytesMax)
	case strings.ContainsAny(c.Host, " \t/") || strings.Contains(c.Host, ":") && net.ParseIP(c.Host) == nil:
		return c, fmt.Errorf("host %q is not a name or an address: write it like 10.0.0.4, and the ports for themselves", c.Host)
	case c.ClientPort < 0 || c.ClientPort > memberPortMax || c.LogPort < 0 || c.LogPort > memberPortMax:
		return c, fmt.Errorf("a port is out of range: 1 to %d", memberPortMax)
	case c.Kind == replication.ChangeRemove || c.Kind == replication.ChangePromote:
		return c, nil
	case c.Kind == replication.ChangePrepare && c.Host == "":
		return c, fmt.Errorf("say where server %d is to run: its host is missing", c.ServerID)
	}
	if c.Kind == replication.ChangePrepare && n.transport == nil {
		return c, errors.New("this server is alone and has no port for other servers: start it with a server.json that gives it a logPort, and add servers then")
	}
	for _, p := range n.places() {
		if own := n.isSelf(&p.Member); c.Kind == replication.ChangePrepare && own || c.Kind != replication.ChangePrepare && p.ServerID == c.ServerID {
			if c.Host == "" {
				c.Host = p.Host
			}
			if c.ClientPort == 0 {
				c.ClientPort = n.clientPort(&p.Member)
			}
			if c.LogPort == 0 {
				c.LogPort = p.LogPort
			}
		}
	}
	if c.Kind == replication.ChangePrepare && c.LogPort == 0 {
		return c, fmt.Errorf("say at which port server %d is reached by the others: its log port is missing", c.ServerID)
	}
	return c, nil
}
