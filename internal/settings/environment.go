package settings

import (
	"regexp"
	"slices"
	"strings"
)

// variablePrefix begins every variable of this program, and those that Kubernetes
// sets in each container for a service named raftcached.
const variablePrefix = "RAFTCACHED_"

// SpawnerVariable is how server-spawner tells a server that it started it.
const SpawnerVariable = variablePrefix + "SPAWNER_FD"

// The variables that Kubernetes sets for a service: NAME_SERVICE_HOST,
// NAME_SERVICE_PORT, NAME_SERVICE_PORT_HTTP and so on, and those of Docker's links,
// like NAME_PORT=tcp://10.96.0.7:11211 and NAME_PORT_11211_TCP_ADDR.
var (
	serviceName  = regexp.MustCompile(`^RAFTCACHED_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	serviceValue = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// readEnvironment takes the settings that no flag has set from NAME=VALUE words. A
// variable that begins like this program's and is none is refused: it is a setting
// that its author believes to be in force.
func (l *Line) readEnvironment(environment []string) error {
	seen := map[string]bool{}
	for _, word := range environment {
		name, text, _ := strings.Cut(word, "=")
		if !strings.HasPrefix(name, variablePrefix) || text == "" || seen[name] || name == SpawnerVariable {
			continue
		}
		seen[name] = true
		if serviceName.MatchString(name) || strings.HasSuffix(name, "_PORT") && serviceValue.MatchString(text) {
			l.note(name, "set by Kubernetes for a service of this name")
			continue
		}
		i := slices.IndexFunc(Table, func(s Setting) bool { return s.Variable() == name })
		if i < 0 {
			return Errorf("unknown variable %s: is %s meant? Otherwise unset it", name, nearestVariable(name))
		}
		if s := &Table[i]; l.Given(s.Field) == "" {
			l.given = append(l.given, given{s, text, Origin{Source: FromEnvironment, Name: name}})
		}
	}
	return nil
}

// nearestVariable returns the variable that begins so, or else the one that takes the fewest
// changes to write.
func nearestVariable(name string) string {
	nearest, fewest := "", 0
	for i := range Table {
		if v := Table[i].Variable(); name != variablePrefix && strings.HasPrefix(v, name) {
			return v
		}
	}
	for i := range Table {
		v := Table[i].Variable()
		if v == "" {
			continue
		}
		if n := distance(name, v); nearest == "" || n < fewest {
			nearest, fewest = v, n
		}
	}
	return nearest
}

// distance is how many letters must be added, removed or replaced to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
