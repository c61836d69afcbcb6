package ctl

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

// three is the members of a cluster of three.
func three() admin.MemberList {
	list := admin.MemberList{Version: 4}
	for i := range 3 {
		list.Members = append(list.Members, admin.MemberInfo{
			ID: i, Folder: fmt.Sprintf("%d3b2d943000000000000000000000000", i), Host: fmt.Sprintf("10.0.0.%d", i+1), Port: 11211, LogPort: 11311,
		})
	}
	return list
}

// operated serves the admin port of server 0 of three, which the others have lost, and
// returns its address.
func operated(t *testing.T, f *fakeServer) string {
	t.Helper()
	for i := range f.status.Servers {
		f.status.Servers[i].AdminAddress = ""
	}
	s, err := admin.Listen(admin.Config{Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f.status.Servers[0].AdminAddress = s.Addr().String()
	return s.Addr().String()
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != got {
		t.Errorf("%s is\n%s\nwant (%v; -rewrite writes it)\n%s", name, got, err, want)
	}
}

// TestReplace: what is asked of the server, and what is shown, until the new folder votes.
func TestReplace(t *testing.T) {
	f := &fakeServer{status: *statusOf(0, 3), list: three()}
	lost(&f.status, 1, "connection refused")
	f.operated = func(operation string, r *admin.MemberRequest) error {
		if operation != "replace" || *r.ID != 1 || r.Host != "10.0.0.9" || r.Force {
			t.Errorf("asked to %s %+v", operation, r)
		}
		// By the time it is looked at, it has come in and votes.
		f.list.Members[1].Retired = true
		f.list.Members = append(f.list.Members[:2:2], admin.MemberInfo{ID: 1, Host: "10.0.0.9", LogPort: 11311}, f.list.Members[2])
		m := &f.status.Servers[1]
		m.Reachable, m.Since, m.Why = true, nil, ""
		return nil
	}
	addr := operated(t, f)
	code, stdout, stderr := run(t, nil, "member", "replace", "1", "--host", "10.0.0.9", "-s", addr)
	if code != exitOK || stderr != "" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	golden(t, "member_replace", stdout)
	_, stdout, _ = run(t, nil, "member", "list", "-s", addr)
	golden(t, "member_list", stdout)
}

// TestOperations: what each command asks for, and says.
func TestOperations(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("s", []byte("a secret of some bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line, asked string
		says        string
	}{
		{"add 3 --host h --port 1 --log-port 2 --no-wait", `add 3 {h 1 2 false false}`, "start it at "},
		{"add 3 --host h --learner --no-wait", `add 3 {h 0 0 true false}`, " 2/4 server 3 is awaited at "},
		{"add 3 --host h --no-wait --secret-file s", `add 3 {h 0 0 false false}`, ":11311 -secret-file s\n     later starts need no -join"},
		{"remove 2 --yes --force", `remove 2 { 0 0 false true}`, "server 2 is no member any more"},
		{"promote 2", `promote 2 { 0 0 false false}`, "server 2 votes"},
		{"move 2 --host n", `move 2 {n 0 0 false false}`, "server 2 is at 10.0.0.3:11311"},
		{"transfer 2", `transfer 2 { 0 0 false false}`, "server 0 leads"},
		{"transfer", `transfer -1 { 0 0 false false}`, "server 0 leads"},
	} {
		f := &fakeServer{status: *statusOf(0, 3), list: three()}
		var asked string
		f.operated = func(operation string, r *admin.MemberRequest) error {
			id := -1
			if r.ID != nil {
				id = *r.ID
			}
			asked = fmt.Sprintf("%s %d {%s %d %d %v %v}", operation, id, r.Host, r.Port, r.LogPort, r.Learner, r.Force)
			return nil
		}
		addr := operated(t, f)
		code, stdout, stderr := run(t, nil, append([]string{"member", "-s", addr}, strings.Fields(c.line)...)...)
		if code != exitOK || asked != c.asked || !strings.Contains(stdout, c.says) {
			t.Errorf("%s: exit code %d, asked %q, want %q; it says\n%s%s", c.line, code, asked, c.asked, stdout, stderr)
		}
	}
}

// TestOperationsFail: a refusal, a majority that is not there, and data that would be
// given up without a word.
func TestOperationsFail(t *testing.T) {
	t.Chdir(t.TempDir())
	refuse := func(string, *admin.MemberRequest) error { return &admin.RefusedError{Reason: "server 2 is no learner"} }
	slow := func(string, *admin.MemberRequest) error { return fmt.Errorf("no leader has agreed in time") }
	for _, c := range []struct {
		line     string
		operated func(string, *admin.MemberRequest) error
		alone    bool
		code     int
		says     string
	}{
		{"promote 2", refuse, false, exitFailed, "server 2 is no learner"},
		{"promote 2", slow, false, exitFailed, "no leader has agreed in time"},
		{"promote 2", slow, true, exitNoMajority, "of 3 servers with a vote 2 are needed, and 1 can be reached. Start the servers that are down"},
		{"remove 2", refuse, false, exitFailed, "server 2 at 10.0.0.3:11211 is alive (reachable): when it is removed, its data folder is given up for good: there is no terminal to ask at, so nothing was changed: say --yes if that is meant"},
		{"replace 2", refuse, false, exitFailed, "when it is replaced, its data folder is given up for good"},
		{"replace 2", refuse, true, exitNoMajority, "raftcachectl recover begins a new cluster"},
	} {
		f := &fakeServer{status: *statusOf(0, 3), list: three(), operated: c.operated}
		if c.alone {
			f.status.State, f.status.Role, f.status.LeaderID = admin.StateNoMajority, "candidate", -1
			lost(&f.status, 1, "timeout")
			lost(&f.status, 2, "timeout")
		}
		addr := operated(t, f)
		code, _, stderr := run(t, nil, append([]string{"member", "-s", addr}, strings.Fields(c.line)...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, %q; want %d, %q", c.line, code, stderr, c.code, c.says)
		}
	}
	if code, _, _ := run(t, nil, "member", "remove", "1", "-s", "127.0.0.1:1"); code != exitNoMajority {
		t.Errorf("when nobody answers the exit code is %d", code)
	}
}

// TestJoining: what is shown of a server that comes in, step by step.
func TestJoining(t *testing.T) {
	j := &joining{id: 2}
	status := func(change func(of *admin.Member, own *admin.Status)) []overview.Reply {
		a, b := statusOf(0, 3), statusOf(2, 3)
		change(&a.Servers[2], b)
		return []overview.Reply{{Status: a}, {Status: b}}
	}
	for _, c := range []struct {
		change func(of *admin.Member, own *admin.Status)
		done   bool
		text   string
	}{
		{func(m *admin.Member, _ *admin.Status) { m.Awaited = true }, false, " 3/4 waits for the data folder of server 2"},
		{func(m *admin.Member, s *admin.Status) {
			m.Learner, s.Applied, s.Memory.Bytes, s.State = true, s.Applied-118, 31<<20, admin.StateCatchingUp
		}, false, " 3/4 it joins without a vote: [###########.........] 31/61M items, log -118"},
		{func(m *admin.Member, s *admin.Status) { m.Learner = true; s.Role, s.State = "", admin.StateStarting }, false, " 3/4 it joins without a vote: starting"},
		{func(*admin.Member, *admin.Status) {}, true, ""},
	} {
		done := j.look(status(c.change))
		if done != c.done || !done && j.text() != c.text {
			t.Errorf("done: %v, %q; want %v, %q", done, j.text(), c.done, c.text)
		}
	}
	if j.replica || j.meaning != "one loss is survived" {
		t.Errorf("at the end: %+v", j)
	}
}
