package overview

import (
	"fmt"
	"strings"
)

// ClusterVersion is a line about the cluster version, and what keeps it from rising; empty: it
// is not known.
func (v *View) ClusterVersion() string {
	switch {
	case v.Raised == 0:
		return ""
	case v.most() <= v.Raised && !v.held():
		return fmt.Sprintf("cluster version %d", v.Raised)
	}
	var keeps []string
	for i := range v.Servers {
		if why := v.Servers[i].keeps(v.Raised); why != "" {
			keeps = append(keeps, fmt.Sprintf("server %d %s", v.Servers[i].ID, why))
		}
	}
	if len(keeps) == 0 {
		return fmt.Sprintf("cluster version %d: it is about to rise", v.Raised)
	}
	return fmt.Sprintf("cluster version %d, and a way back until it rises: %s", v.Raised, strings.Join(keeps, ", "))
}

// PlainVersion reports whether the cluster version is of no interest: it is the first one, and
// no server can do more, or it is not known.
func (v *View) PlainVersion() bool { return v.Raised <= 1 && v.most() <= 1 && !v.held() }

// most is the highest cluster version to which a server would have it rise.
func (v *View) most() (most uint64) {
	for i := range v.Servers {
		most = max(most, v.Servers[i].ClusterVersionMax)
	}
	return most
}

// held reports whether an operator keeps the cluster version from rising.
func (v *View) held() bool {
	for i := range v.Servers {
		if r := &v.Servers[i]; r.ClusterVersionMax == v.Raised && r.ClusterVersionKnown > v.Raised {
			return true
		}
	}
	return false
}

// keeps is why a server keeps the cluster version from rising above the given one, if it
// does.
func (r *Row) keeps(version uint64) string {
	switch {
	case r.Awaited, r.ClusterVersionMax > version:
		return ""
	case !r.Answered:
		return "does not answer"
	case r.ClusterVersionKnown > version:
		return "is held back by clusterVersionMax"
	}
	return fmt.Sprintf("runs %s, which knows no more", r.Version)
}
