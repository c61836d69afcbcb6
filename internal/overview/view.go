package overview

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"raftcached/internal/admin"
)

// The states of a server that did not answer.
const (
	StateUnreachable = "UNREACHABLE" // nor to the servers that answered
	StateSilent      = "NO ANSWER"   // although another server is connected to it
	StateReachable   = "reachable"   // by the other servers; its admin port is not open here
	StateAwaited     = "awaited"     // its data folder has not come yet
)

// Verdict is what the cluster as a whole is.
type Verdict string

// The verdicts.
const (
	OK         Verdict = "ok"
	Degraded   Verdict = "degraded"
	NoMajority Verdict = "no majority"
)

// View is what the answers of the servers say together. It is what status -o json
// writes.
type View struct {
	Format   int       `json:"formatVersion"` // 1
	Cluster  string    `json:"cluster"`
	Verdict  Verdict   `json:"verdict"`
	Meaning  string    `json:"meaning"`                  // what the verdict means for the next loss
	Leases   string    `json:"leases,omitempty"`         // as in admin.Status; absent: unknown
	Raised   uint64    `json:"clusterVersion,omitempty"` // likewise
	Servers  []Row     `json:"servers"`
	Problems []Problem `json:"problems"`

	Start *Starter      `json:"-"`
	Known *admin.Status `json:"-"` // the answer that knows the most
}

// Row is one server.
type Row struct {
	ID      int    `json:"id"`
	Address string `json:"address"`
	Role    string `json:"role"` // leader, follower, candidate or learner; empty: unknown
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"`

	// Answered tells whether the server itself has answered. If not, the fields
	// below are absent, and Since is when the others lost it, if they did.
	Answered bool       `json:"answered"`
	Since    *time.Time `json:"since,omitempty"`
	Seconds  float64    `json:"seconds,omitempty"` // since then, by the clock of who lost it

	// As in admin.Member.
	Learner  bool `json:"learner,omitempty"`
	Stays    bool `json:"stays,omitempty"`
	Awaited  bool `json:"awaited,omitempty"`
	Replaced bool `json:"replaced,omitempty"`

	// HeardSeconds is how long ago another server last heard of one that did not answer.
	HeardSeconds *float64 `json:"heardSeconds,omitempty"`

	Applied       uint64        `json:"appliedIndex,omitempty"`
	Lag           uint64        `json:"lag"` // entries that are committed and not applied here
	Memory        *admin.Memory `json:"memory,omitempty"`
	Disk          *admin.Disk   `json:"disk,omitempty"`
	Version       string        `json:"version,omitempty"`
	UptimeSeconds int64         `json:"uptimeSeconds,omitempty"`
	StateVerdict  string        `json:"stateVerdict,omitempty"`
	WritesRefused string        `json:"writesRefused,omitempty"`
	Lease         string        `json:"lease,omitempty"` // as in admin.Status

	TLS []admin.PortTLS `json:"tls,omitempty"` // as in admin.Status

	// As in admin.Status: absent of an older program, and while the server starts.
	ClusterVersionKnown uint64 `json:"clusterVersionKnown,omitempty"`
	ClusterVersionMax   uint64 `json:"clusterVersionMax,omitempty"`

	member *admin.Member // as the server that knows the most has it
}

// Votes reports whether the server has a vote.
func (r *Row) Votes() bool { return !r.Learner && !r.Awaited }

// of takes what the members say of a server.
func (r *Row) of(m *admin.Member) {
	r.member = m
	r.Learner, r.Stays, r.Awaited, r.Replaced = m.Learner, m.Stays, m.Awaited, m.Replaced
	if m.Learner {
		r.Role = "learner"
	}
}

// Well reports whether the server does its part, as far as is known.
func (r *Row) Well() bool {
	return (r.State == admin.StateOK && r.WritesRefused == "" || r.State == admin.StateRestoring || r.State == StateReachable) && !r.lowDisk()
}

// lowDisk reports whether the server has less room on its disk than the reserve.
func (r *Row) lowDisk() bool { return r.Disk != nil && r.Disk.Space == admin.SpaceLow }

// Problem is what is wrong, and what helps.
type Problem struct {
	ServerID *int   `json:"serverId,omitempty"` // absent: the whole cluster
	Text     string `json:"text"`
	Help     string `json:"help"`
}

// New puts the answers together; at least one is a status.
func New(replies []Reply, start *Starter) *View {
	answers, best := map[int]*admin.Status{}, Best(replies)
	v := &View{Format: 1, Cluster: best.Cluster, Leases: best.Leases, Problems: []Problem{}, Start: start, Known: best}
	for _, r := range replies {
		switch s := r.Status; {
		case s == nil:
		case s.Cluster != best.Cluster && s.Cluster != "":
			v.Problems = append(v.Problems, Problem{
				Text: fmt.Sprintf("%s belongs to another cluster, %s", r.Addr, Short(s.Cluster)),
				Help: "Leave it out of --server, or correct its adminPort in server.json.",
			})
		default:
			answers[s.ID] = s
		}
	}
	var commit uint64
	for _, s := range answers {
		commit = max(commit, s.Commit)
		v.Raised = max(v.Raised, s.ClusterVersion) // an older program tells none
	}
	for i := range best.Servers {
		m := best.Servers[i]
		if s := answers[m.ID]; s != nil {
			v.Servers = append(v.Servers, answeredRow(m, s, commit))
		} else {
			v.Servers = append(v.Servers, missingRow(m, answers, replies, best.LeaderID))
		}
		v.Servers[i].of(&m)
	}
	v.judge()
	return v
}

func answeredRow(m admin.Member, s *admin.Status, commit uint64) Row {
	r := Row{
		ID: m.ID, Address: m.Address, Role: s.Role, State: s.State, Reason: s.Reason, Answered: true, Applied: s.Applied,
		Disk: s.Disk, Version: s.Version, UptimeSeconds: s.UptimeSeconds, StateVerdict: s.Verdict, WritesRefused: s.WritesRefused, Lease: s.Lease, TLS: s.TLS,
		ClusterVersionKnown: s.ClusterVersionKnown, ClusterVersionMax: s.ClusterVersionMax,
	}
	if s.Role != "" { // it has read its log
		r.Lag, r.Memory = commit-min(commit, s.Applied), &s.Memory
	}
	return r
}

// missingRow is the row of a server that did not answer, as the others see it.
func missingRow(m admin.Member, answers map[int]*admin.Status, replies []Reply, leader int) Row {
	r := Row{ID: m.ID, Address: m.Address, State: StateUnreachable}
	if m.Awaited {
		r.State, r.Reason = StateAwaited, "its data folder has not come yet"
		return r
	}
	if m.ID == leader {
		r.Role = "leader"
	}
	connected := false
	for _, s := range answers {
		i := slices.IndexFunc(s.Servers, func(seen admin.Member) bool { return seen.ID == m.ID })
		if i < 0 {
			continue
		}
		switch seen := s.Servers[i]; {
		case seen.Reachable:
			connected = true
		case seen.Since != nil && (r.Since == nil || s.LeaderID == s.ID || seen.Since.Before(*r.Since)):
			r.Since, r.Seconds, r.Reason = seen.Since, seen.Seconds, seen.Why
		}
	}
	r.Reason = cmp.Or(r.Reason, "never reached")
	if connected {
		r.Since, r.Seconds = nil, 0
		r.HeardSeconds = heardSeconds(m.ID, answers)
		r.State, r.Reason = silence(m, replies)
	}
	return r
}

// heardSeconds is how long ago one of the servers that answered has heard of another one,
// or nil.
func heardSeconds(id int, answers map[int]*admin.Status) (least *float64) {
	for _, s := range answers {
		for i := range s.Servers {
			if h := s.Servers[i].HeardSeconds; s.Servers[i].ID == id && h != nil && (least == nil || *h < *least) {
				least = h
			}
		}
	}
	return least
}

// silence says why a server did not answer to which another one is connected.
func silence(m admin.Member, replies []Reply) (state, reason string) {
	if m.AdminAddress == "" {
		return StateReachable, "it has no admin port"
	}
	for _, r := range replies {
		switch {
		case r.Addr != m.AdminAddress:
		case r.Err == nil, errors.Is(r.Err, syscall.ECONNREFUSED):
			return StateReachable, "its admin port is not open here, at " + r.Addr
		default:
			return StateSilent, fmt.Sprintf("its admin port %s: %s", r.Addr, admin.Why(r.Err))
		}
	}
	return StateReachable, "its admin port is not open here"
}

// compareVersions adds a problem if the servers run different versions. They may, for
// the time of an upgrade: it does not change the verdict.
func (v *View) compareVersions() {
	var versions []string
	for _, r := range v.Servers {
		if r.Version != "" && !slices.Contains(versions, r.Version) {
			versions = append(versions, r.Version)
		}
	}
	if len(versions) > 1 {
		slices.Sort(versions)
		v.Problems = append(v.Problems, Problem{Text: "the servers run the versions " + strings.Join(versions, ", "), Help: "Finish the upgrade."})
	}
}

// Short is the beginning of a cluster's id, as people read it.
func Short(cluster string) string {
	const digits = 8
	if len(cluster) <= digits {
		return cmp.Or(cluster, "not formed yet")
	}
	return cluster[:digits]
}

// Clock is a time as people read it on the day of it.
func Clock(t time.Time) string {
	t = t.Local()
	if time.Since(t) > 24*time.Hour {
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format(time.TimeOnly)
}

// Size is a number of bytes in the greatest unit that leaves a whole number.
func Size(bytes int64) string {
	switch {
	case bytes >= 10<<40:
		return strconv.FormatInt(bytes>>40, 10) + "T"
	case bytes >= 10<<30:
		return strconv.FormatInt(bytes>>30, 10) + "G"
	case bytes >= 10<<20:
		return strconv.FormatInt(bytes>>20, 10) + "M"
	}
	return strconv.FormatInt(bytes>>10, 10) + "K"
}
