package ctl

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of testdata from what the code does")

// lostAt is long ago, so that it is shown with its date.
var lostAt = time.Date(2026, 1, 2, 18, 11, 32, 0, time.Local)

// statusOf is the answer of a server that is well, in a cluster of n, which server 0
// leads.
func statusOf(id, n int) *admin.Status {
	s := &admin.Status{
		StatusVersion: 1, Cluster: "a7e2521a00000000", ID: id, State: admin.StateOK, Role: "follower", Term: 2,
		Commit: 1204511, Applied: 1204511, Memory: admin.Memory{Items: 5, Bytes: 61 << 20, LimitBytes: 64 << 20},
		Disk:    &admin.Disk{FreeBytes: 38 << 30, TotalBytes: 51 << 30},
		Version: "0.2.0", UptimeSeconds: 12 * 24 * 3600, Verdict: "ok",
		Digests: []admin.Digest{{Index: 1204224, Contents: "0123456789abcdef", Order: "aa"}, {Index: 1204511, Contents: "cd", Order: "bb"}},
	}
	if id == 0 {
		s.Role = "leader"
	}
	for i := range n {
		s.Servers = append(s.Servers, admin.Member{
			ID: i, Address: fmt.Sprintf("10.0.0.%d:11211", i+1), LogAddress: fmt.Sprintf("10.0.0.%d:11311", i+1), AdminAddress: fmt.Sprintf("10.0.0.%d:11411", i+1), Self: i == id, Reachable: true,
		})
	}
	return s
}

// lost makes a server unreachable for the one that answers.
func lost(s *admin.Status, id int, why string) {
	m := &s.Servers[id]
	m.Reachable, m.Since, m.Seconds, m.Why = false, &lostAt, 252, why
}

// listing is that of a server.json that lists the servers 0 to 2.
func listing() *overview.Starter {
	s := &overview.Starter{File: "server.json", Listed: map[int]string{}}
	for i := range 3 {
		s.Listed[i] = fmt.Sprintf("10.0.0.%d:11311", i+1)
	}
	return s
}

// cases are clusters and what they are.
func cases() map[string][]overview.Reply {
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	well := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Status: statusOf(2, 3)}}

	degraded := []overview.Reply{{Status: statusOf(0, 3)}, {Addr: "10.0.0.2:11411", Err: refused}, {Status: statusOf(2, 3)}}
	lost(degraded[0].Status, 1, "connection refused")
	lost(degraded[2].Status, 1, "timeout")
	late := degraded[2].Status
	late.State, late.Reason, late.Applied, late.UptimeSeconds = admin.StateCatchingUp, "it has applied its log up to 1198002, and the leader is further", 1198002, 40

	alone := statusOf(2, 3)
	alone.State, alone.Reason, alone.Role, alone.LeaderID = admin.StateNoMajority, "it cannot reach the servers 0, 1", "candidate", -1
	lost(alone, 0, "connection refused")
	lost(alone, 1, "timeout")
	noMajority := []overview.Reply{{Status: alone}, {Addr: "10.0.0.1:11411", Err: refused}, {Addr: "10.0.0.2:11411", Err: refused}}

	starting := statusOf(1, 3)
	starting.State, starting.Reason, starting.Role, starting.Verdict, starting.Applied = admin.StateStarting, "it reads its log", "", "", 0
	starting.Disk = nil
	quarantine := statusOf(2, 3)
	quarantine.State, quarantine.Reason, quarantine.Version = admin.StateQuarantine, "its items differ", "0.1.0"

	local := []overview.Reply{{Addr: "127.0.0.1:11411", Status: statusOf(0, 3)}}
	for i := range local[0].Status.Servers {
		local[0].Status.Servers[i].AdminAddress = "127.0.0.1:11411"
	}
	local[0].Status.Servers[2].AdminAddress = ""

	silent := []overview.Reply{{Status: statusOf(0, 5)}, {Status: statusOf(1, 5)}, {Status: statusOf(2, 5)}, {Status: statusOf(3, 5)}, {Addr: "10.0.0.5:11411", Err: os.ErrDeadlineExceeded}}

	silent[1].Status.Servers[4].HeardSeconds, silent[2].Status.Servers[4].HeardSeconds = new(0.012), new(3.0)

	full := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Status: statusOf(2, 3)}}
	for i, r := range full {
		r.Status.WritesRefused, r.Status.Reason = admin.RefusedDiskFull, "writes are refused"
		if i > 0 {
			r.Status.Disk = &admin.Disk{FreeBytes: 90 << 20, TotalBytes: 51 << 30, ReserveBytes: 250 << 20, Space: admin.SpaceLow}
		}
	}
	stalled := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Status: statusOf(2, 3)}}
	stalled[1].Status.WritesRefused, stalled[1].Status.Reason = admin.RefusedDiskStalled, "writes are refused: the disk of this server does not answer"

	restoring := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Status: statusOf(2, 3)}}
	for _, r := range restoring {
		r.Status.State, r.Status.Reason = admin.StateRestoring, "a backup is being restored"
	}

	// Of five servers 1 is replaced, 3 is a read replica, and 4 is to come in.
	members := []overview.Reply{{Status: statusOf(0, 5)}, {Status: statusOf(1, 5)}, {Status: statusOf(2, 5)}, {Status: statusOf(3, 5)}}
	for _, r := range members {
		list := r.Status.Servers
		list[1].Learner, list[1].Replaced = true, true
		list[3].Learner, list[3].Stays = true, true
		list[4].Awaited, list[4].Reachable = true, false
	}
	members[1].Status.Role, members[3].Status.Role = "learner", "learner"
	replica := []overview.Reply{{Status: statusOf(0, 4)}, {Status: statusOf(1, 4)}, {Status: statusOf(2, 4)}, {Addr: "10.0.0.4:11411", Err: refused}}
	for _, r := range replica[:3] {
		r.Status.Servers[3].Learner, r.Status.Servers[3].Stays = true, true
		lost(r.Status, 3, "connection refused")
	}

	leased := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Addr: "10.0.0.3:11411", Err: refused}}
	for i, lease := range []string{admin.LeaseLeader, admin.LeaseHolder} {
		leased[i].Status.Leases, leased[i].Status.Lease = "all", lease
		lost(leased[i].Status, 2, "connection refused")
	}

	two := []overview.Reply{{Status: statusOf(0, 2)}, {Status: statusOf(1, 2)}}
	electing := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Status: statusOf(2, 3)}}
	for _, r := range electing {
		r.Status.State, r.Status.Reason, r.Status.LeaderID = admin.StateNoMajority, "it knows no leader: an election takes less than a second", -1
	}
	first := statusOf(0, 2)
	first.Cluster, first.State, first.Reason, first.Role = "", admin.StateStarting, "it waits until it knows its cluster", ""
	first.Servers[1].Reachable = false
	// Server 3 came in by -join, with a secret and a certificate.
	joined := []overview.Reply{{Status: statusOf(0, 4)}, {Status: statusOf(1, 4)}, {Status: statusOf(2, 4)}, {Addr: "10.0.0.4:11411", Err: refused}}
	for _, r := range joined[:3] {
		r.Status.Guarded, r.Status.Secured = true, true
		lost(r.Status, 3, "connection refused")
	}

	// The certificates of server 1 have expired, those of server 2 last; not so an authority
	// that it believes.
	expiring := []overview.Reply{{Status: statusOf(0, 3)}, {Status: statusOf(1, 3)}, {Status: statusOf(2, 3)}}
	expiring[1].Status.TLS = []admin.PortTLS{{Port: "client", NotAfter: lostAt.Add(time.Hour), ExpiresSoon: true}, {Port: "log", NotAfter: lostAt, ExpiresSoon: true}}
	expiring[2].Status.TLS = []admin.PortTLS{{Port: "client", NotAfter: time.Now().Add(1000 * time.Hour), AuthorityNotAfter: lostAt, AuthorityExpiresSoon: true}, {Port: "log"}}

	// An upgrade: server 0 has the new program, server 1 too and is held back, server 2 has
	// the one before cluster versions, and a replica is lost. Then it is over.
	upgrade := []overview.Reply{{Status: statusOf(0, 4)}, {Status: statusOf(1, 4)}, {Status: statusOf(2, 4)}, {Addr: "10.0.0.4:11411", Err: refused}}
	for i, r := range upgrade[:3] {
		r.Status.Servers[3].Learner, r.Status.Servers[3].Stays = true, true
		lost(r.Status, 3, "connection refused")
		if i < 2 {
			r.Status.ClusterVersion, r.Status.ClusterVersionKnown, r.Status.ClusterVersionMax = 1, 2, uint64(2-i)
		}
	}
	upgraded := []overview.Reply{{Status: statusOf(0, 2)}, {Status: statusOf(1, 2)}}
	for _, r := range upgraded {
		r.Status.ClusterVersion, r.Status.ClusterVersionKnown, r.Status.ClusterVersionMax = 2, 2, 2
	}

	foreign := statusOf(7, 1)
	foreign.Cluster, foreign.Term = "ffffffff00000000", 1
	return map[string][]overview.Reply{
		"well": well, "degraded": degraded, "no_majority": noMajority, "local": local, "silent": silent,
		"restoring": restoring, "upgrade": upgrade, "upgraded": upgraded,
		"two": two, "electing": electing, "joined": joined,
		"first":   {{Status: first}, {Addr: "10.0.0.2:11411", Err: refused}},
		"members": members, "replica_lost": replica,
		"expiring": expiring,
		"full":     full, "stalled": stalled, "leased": leased,
		"lone":       {{Status: statusOf(0, 1)}},
		"starting":   {{Status: statusOf(0, 3)}, {Status: starting}, {Status: quarantine}},
		"two_worlds": append(well, overview.Reply{Addr: "10.0.0.9:11411", Status: foreign}),
	}
}

// TestTables compares the tables with testdata, and their verdicts.
func TestTables(t *testing.T) {
	codes := map[string]int{"degraded": 1, "no_majority": 2, "starting": 1, "silent": 1, "two_worlds": 1, "members": 1, "restoring": 1, "full": 1, "stalled": 1, "electing": 2, "joined": 1, "first": 2, "leased": 1}
	for name, replies := range cases() {
		v := overview.New(replies, listing())
		if got := exitCodeOf(v.Verdict); got != codes[name] {
			t.Errorf("%s: exit code %d, want %d", name, got, codes[name])
		}
		var text strings.Builder
		if err := writeView(&text, v, false); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".txt")
		if *rewrite {
			if err := os.WriteFile(golden, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(golden); err != nil || string(want) != text.String() {
			t.Errorf("%s is\n%s\nwant (%v; -rewrite writes it)\n%s", name, text.String(), err, want)
		}
	}
}

// TestColorsChangeNoWidth: without the escapes a table with colors is one without.
func TestColorsChangeNoWidth(t *testing.T) {
	v := overview.New(cases()["degraded"], listing())
	var plain, colored strings.Builder
	if err := errors.Join(writeView(&plain, v, false), writeView(&colored, v, true)); err != nil {
		t.Fatal(err)
	}
	text := colored.String()
	for _, escape := range []string{"\x1b[1;33m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"} {
		text = strings.ReplaceAll(text, escape, "")
	}
	if text != plain.String() || colored.String() == plain.String() {
		t.Errorf("with colors:\n%q\nwithout:\n%q", text, plain.String())
	}
}

// TestViewShape holds the names of the JSON: programs read them.
func TestViewShape(t *testing.T) {
	text, err := json.Marshal(overview.New(cases()["degraded"], listing()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"formatVersion":1,"cluster":"a7e2521a00000000","verdict":"degraded","meaning":"one more loss stops it","servers":[`,
		`{"id":0,"address":"10.0.0.1:11211","role":"leader","state":"ok","answered":true,"appliedIndex":1204511,"lag":0,` +
			`"memory":{"items":5,"bytes":63963136,"limitBytes":67108864,"digest":""},"disk":{"freeBytes":40802189312,"totalBytes":54760833024},` +
			`"version":"0.2.0","uptimeSeconds":1036800,"stateVerdict":"ok"}`,
		`{"id":1,"address":"10.0.0.2:11211","role":"","state":"UNREACHABLE","reason":"connection refused","answered":false,"since":"2026-01-02T18:11:32`,
		`"problems":[{"serverId":1,"text":"lost at 2026-01-02 18:11:32 (connection refused)","help":"Start it again: `,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the JSON lacks\n%s\nit is\n%s", want, text)
		}
	}
}

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{40 * time.Second, "40s"},
		{252 * time.Second, "4m12s"},
		{3*time.Hour + 5*time.Minute, "3h05m"},
		{12 * 24 * time.Hour, "12d"},
	} {
		if got := age(c.d); got != c.want {
			t.Errorf("%v is shown as %q, want %q", c.d, got, c.want)
		}
	}
	if got := []string{overview.Size(38 << 30), overview.Size(900 << 20), overview.Size(5 << 10), share(61<<20, 64<<20), share(5<<29, 16<<30)}; strings.Join(got, " ") != "38G 900M 5K 61/64M 2.5/16.0G" {
		t.Errorf("sizes are %q", got)
	}
}

// TestCompare: the highest index that all have told decides.
func TestCompare(t *testing.T) {
	replies := cases()["well"]
	replies[1].Status.Digests = replies[1].Status.Digests[:1]
	c := compare(replies)
	if c.index != 1204224 || len(c.ids) != 3 || len(c.missing) != 0 {
		t.Errorf("compared %+v", c)
	}
	report := func(c comparison) (string, int) {
		var out strings.Builder
		err := (&ctl{Process: Process{Stdout: &out}}).report(c)
		var exit exitError
		if err != nil && !errors.As(err, &exit) {
			return err.Error(), exitFailed
		}
		return out.String(), int(exit)
	}
	if text, code := report(c); code != 0 || !strings.Contains(text, "EQUAL: all servers hold the same items") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	replies[2].Status.Digests[0].Contents = "other"
	if text, code := report(compare(replies)); code != 1 || !strings.Contains(text, "DIFFERENT: servers 0, 1 | 2;") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if text, code := report(compare(cases()["degraded"])); code != 1 || !strings.Contains(text, "EQUAL as far as compared: server 1 did not answer") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	replies[0].Status.Digests = replies[0].Status.Digests[1:]
	if text, code := report(compare(replies)); code != 1 || !strings.Contains(text, "no index in common yet") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}
