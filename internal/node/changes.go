package node

import (
	"fmt"
	"slices"
)

// tellChanges logs how the members have changed.
func (n *Node) tellChanges(before, after []place) {
	log := n.cfg.Logger
	for i := range after {
		p := &after[i]
		var old place
		if at := slices.IndexFunc(before, func(o place) bool { return o.ServerID == p.ServerID }); at >= 0 {
			old = before[at]
		}
		if line := p.change(&old); line != "" {
			log.Info(line)
		}
	}
	for _, p := range before {
		if !slices.ContainsFunc(after, func(o place) bool { return o.ServerID == p.ServerID }) {
			log.Info(fmt.Sprintf("server %d is removed from the cluster", p.ServerID))
		}
	}
}

// change says what has become of a place that was old, in a few words; nothing if it
// is as it was.
func (p *place) change(old *place) string {
	name, at := fmt.Sprintf("server %d", p.ServerID), joinHostPort(p.Host, p.LogPort)
	switch {
	case p.RaftID == 0 && old.RaftID != 0:
		return fmt.Sprintf("the data folder of %s is retired for good: an empty one is awaited at %s", name, at)
	case p.RaftID == 0 && old.Host == "":
		return fmt.Sprintf("%s is to be added: an empty data folder is awaited at %s", name, at)
	case p.RaftID != old.RaftID && p.Stays:
		return name + " has joined as a read replica"
	case p.RaftID != old.RaftID && p.Learner:
		return name + " has joined, and gets a vote when it has caught up"
	case p.votes() && !p.Unsettled && (p.RaftID != old.RaftID || old.Learner || old.Unsettled):
		return name + " votes"
	case p.Host != old.Host || p.LogPort != old.LogPort || p.ClientPort != old.ClientPort:
		return fmt.Sprintf("%s is at %s from now on", name, where(p.Host, p.ClientPort, p.LogPort))
	}
	return ""
}
