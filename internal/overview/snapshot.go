package overview

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"raftcached/internal/admin"
)

// What a snapshot has at most.
const (
	hotKeysMax = 10
	slowMax    = 8
)

// Snapshot is what is known of a cluster at one moment, for people to watch.
type Snapshot struct {
	At     time.Time `json:"at"`
	Server int       `json:"server"` // whose events they are

	View           *View          `json:"view"`
	ClusterVersion string         `json:"clusterVersionLine"` // see View.ClusterVersion
	Rates          *Rates         `json:"rates"`              // nil: there is no earlier sample
	Elections      *int           `json:"electionsInLastHour"`
	HotKeys        []admin.HotKey `json:"hotKeys"`
	Slow           []Slow         `json:"slow"`   // the newest first
	Events         []admin.Event  `json:"events"` // the newest first
}

// Slow is a slow command and the id of its server.
type Slow struct {
	Server int `json:"server"`
	admin.SlowCommand
}

// NewSnapshot puts a sample together; at least one of its replies is a status. before is an
// earlier one, or nil. Events are those of the given server, or if that has not answered of
// the one that knows the most.
func NewSnapshot(before, now *Sample, server int, start *Starter) *Snapshot {
	s := &Snapshot{At: now.At, View: New(now.Replies, start), HotKeys: []admin.HotKey{}, Slow: []Slow{}, Events: []admin.Event{}}
	if before != nil {
		s.Rates = NewRates(before, now)
	}
	s.ClusterVersion = s.View.ClusterVersion()
	teller := s.View.Known
	hot := map[string]admin.HotKey{}
	for _, r := range now.Replies {
		if r.Status == nil {
			continue
		}
		if r.Status.ID == server {
			teller = r.Status
		}
		f := r.Status.Figures
		if f == nil || r.Status.Cluster != s.View.Cluster {
			continue
		}
		for _, k := range f.HotKeys {
			sum := hot[k.Key]
			hot[k.Key] = admin.HotKey{Key: k.Key, Reads: sum.Reads + k.Reads, Writes: sum.Writes + k.Writes}
		}
		for _, c := range f.Slow {
			s.Slow = append(s.Slow, Slow{r.Status.ID, c})
		}
	}
	s.HotKeys = slices.AppendSeq(s.HotKeys, maps.Values(hot))
	slices.SortFunc(s.HotKeys, func(a, b admin.HotKey) int {
		return cmp.Or(cmp.Compare(b.Reads+b.Writes, a.Reads+a.Writes), strings.Compare(a.Key, b.Key))
	})
	s.HotKeys = s.HotKeys[:min(len(s.HotKeys), hotKeysMax)]
	slices.SortStableFunc(s.Slow, func(a, b Slow) int { return b.At.Compare(a.At) })
	s.Slow = s.Slow[:min(len(s.Slow), slowMax)]
	s.Server = teller.ID
	if f := teller.Figures; f != nil {
		s.Elections = &f.Elections
		s.Events = append(s.Events, f.Events...)
		slices.Reverse(s.Events)
	}
	return s
}
