package ctl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"raftcached/internal/admin"

	"golang.org/x/sys/unix"
)

// fakeServer is a server with an admin port, which gives the golden backup.
type fakeServer struct {
	figures *admin.Figures
	status  admin.Status
	cut     int   // how many bytes of the backup it sends before it dies; -1: all
	busy    error // instead of a backup

	asked int
	steps []admin.RestoreStep
	fail  func(step int) error // instead of a step

	list     admin.MemberList
	operated func(operation string, r *admin.MemberRequest) error
}

func (f *fakeServer) Ready(context.Context) (state, reason string) { return f.status.State, "" }
func (f *fakeServer) Status(context.Context) admin.Status          { return f.status }
func (f *fakeServer) Metrics() http.Handler                        { return http.NotFoundHandler() }
func (f *fakeServer) Figures() *admin.Figures                      { return f.figures }
func (f *fakeServer) Page() http.Handler                           { return http.NotFoundHandler() }
func (f *fakeServer) HotKeys() admin.HotKeys                       { return admin.HotKeys{} }
func (f *fakeServer) Slow() admin.SlowCommands                     { return admin.SlowCommands{} }

func (f *fakeServer) Backup(_ context.Context, w io.Writer) error {
	f.asked++
	if f.busy != nil {
		return f.busy
	}
	b, err := os.ReadFile(goldenBackup)
	if err != nil {
		return err
	}
	if f.cut < 0 {
		_, err := w.Write(b)
		return err
	}
	_, err = w.Write(b[:f.cut])
	return errors.Join(err, errors.New("dead"))
}

func (f *fakeServer) Restore(_ context.Context, s *admin.RestoreStep) (uint64, error) {
	f.steps = append(f.steps, *s)
	if f.fail != nil {
		if err := f.fail(len(f.steps)); err != nil {
			return 0, err
		}
	}
	return s.First + uint64(len(s.Chunks)), nil
}

// serveAll gives servers admin ports and returns their addresses, separated by commas.
// Each names all of them. The first leads.
func serveAll(t *testing.T, servers ...*fakeServer) string {
	t.Helper()
	var addrs []string
	var members []admin.Member
	for i, f := range servers {
		f.status = admin.Status{
			StatusVersion: admin.StatusVersion, Cluster: "990c120b00000001", ID: i, State: admin.StateOK, Role: "follower", Applied: 5, Commit: 5,
			Digests: []admin.Digest{{Index: 5, Contents: "c", Order: "o"}}, Memory: admin.Memory{Items: 4, Digest: "8ea5b702278b4b9c"},
		}
		if i == 0 {
			f.status.Role = "leader"
		}
		s, err := admin.Listen(admin.Config{Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() }) // requests are over
		addrs = append(addrs, s.Addr().String())
		members = append(members, admin.Member{ID: i, Address: "10.0.0.1:11211", AdminAddress: s.Addr().String()})
	}
	for _, f := range servers {
		f.status.Servers = members
	}
	return strings.Join(addrs, ",")
}

// TestBackup asks the followers first, and another server when one dies in the middle
// or will not; the file appears when it is complete.
func TestBackup(t *testing.T) {
	golden, err := os.ReadFile(goldenBackup)
	if err != nil {
		t.Fatal(err)
	}
	leader, dies, busy := &fakeServer{cut: -1}, &fakeServer{cut: 300}, &fakeServer{busy: errors.New("another backup is being read from this server")}
	addrs := serveAll(t, leader, dies, busy)
	dir := t.TempDir()
	name := filepath.Join(dir, "b")
	code, stdout, stderr := run(t, nil, "backup", "-s", addrs, name)
	if code != exitOK || !strings.HasPrefix(stdout, "wrote 4 items as of index 900 to "+name+" in ") || !strings.HasSuffix(stdout, ", from server 0 (leader)\ncontents 8ea5b702278b4b9c\n") {
		t.Fatalf("exit code %d, %q\n%s", code, stderr, stdout)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, golden) {
		t.Fatalf("the file has %d bytes, %v", len(got), err)
	}
	if dies.asked != 1 || busy.asked != 1 || leader.asked != 1 {
		t.Errorf("asked %d, %d, %d times", leader.asked, dies.asked, busy.asked)
	}
	if code, _, stderr := run(t, nil, "backup", "-s", addrs, name); code != exitFailed || stderr != "raftcachectl: "+name+" exists: choose another name, or replace it with --force\n" {
		t.Errorf("over a file: exit code %d, %q", code, stderr)
	}
	if code, _, stderr := run(t, nil, "backup", "-s", addrs, "--force", name); code != exitOK {
		t.Errorf("with --force: exit code %d, %q", code, stderr)
	}
	leader.cut = 100
	code, _, stderr = run(t, nil, "backup", "-s", addrs, filepath.Join(dir, "c"))
	want := "raftcachectl: no server gave a backup (server 1 (follower): it closed the connection in the middle, " +
		"server 2 (follower): another backup is being read from this server, server 0 (leader): it closed the connection in the middle)\n"
	if code != exitFailed || stderr != want {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left %v, %v", files, err)
	}
}

// TestBackupToStandardOutput cannot be taken back: there is no second try in the
// middle.
func TestBackupToStandardOutput(t *testing.T) {
	golden, err := os.ReadFile(goldenBackup)
	if err != nil {
		t.Fatal(err)
	}
	leader, follower := &fakeServer{cut: -1}, &fakeServer{cut: -1}
	addrs := serveAll(t, leader, follower)
	if code, stdout, stderr := run(t, nil, "backup", "-s", addrs, "-"); code != exitOK || stdout != string(golden) {
		t.Fatalf("exit code %d, %d bytes, %q", code, len(stdout), stderr)
	}
	follower.cut = 300
	code, _, stderr := run(t, nil, "backup", "-s", addrs, "-")
	if want := "raftcachectl: the output ends early and is no backup (server 1 (follower): it closed the connection in the middle)\n"; code != exitFailed || stderr != want {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
}

// TestRestore does its steps on the leader, again after a failure, and ends with a
// comparison.
func TestRestore(t *testing.T) {
	leader, follower := &fakeServer{}, &fakeServer{}
	addrs := serveAll(t, leader, follower)
	leader.fail = func(step int) error {
		if step == 2 {
			return errors.New("no majority has taken the step in time: repeat it")
		}
		return nil
	}
	code, stdout, stderr := run(t, nil, "restore", "-s", addrs, goldenBackup)
	const head, tail = "restored 4 items as of index 900 of cluster 990c120b in ", `the contents are those of the backup
digests at index 5
 ID ADDRESS         ITEMS  ORDER
 0  10.0.0.1:11211  c      o
 1  10.0.0.1:11211  c      o
contents 8ea5b702278b4b9c, 4 items
EQUAL: all servers hold the same items
`
	if code != exitOK || !strings.HasPrefix(stdout, head) || !strings.HasSuffix(stdout, tail) {
		t.Fatalf("exit code %d, %q\n%s", code, stderr, stdout)
	}
	var steps []string
	for _, s := range leader.steps {
		steps = append(steps, s.Step)
	}
	if got := strings.Join(steps, " "); got != "begin items begin items end" || len(follower.steps) > 0 {
		t.Fatalf("steps %q, on the follower %d", got, len(follower.steps))
	}
	if want := "raftcachectl: waiting, for up to 30s: "; !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "no majority has taken the step in time") {
		t.Errorf("after a failure it says %q", stderr)
	}
	if code, _, stderr := run(t, nil, "restore", "-s", "127.0.0.1:1", goldenBackup); code != exitFailed || !strings.Contains(stderr, "raftcachectl: nothing was restored: no server answers (127.0.0.1:1: connection refused): start one, or name another admin port with --server") {
		t.Errorf("where nothing listens: exit code %d, %q", code, stderr)
	}
	leader.fail = func(int) error { return &admin.RefusedError{Reason: "the cluster is not new"} }
	if code, _, stderr := run(t, nil, "restore", "-s", addrs, goldenBackup); code != exitFailed || stderr != "raftcachectl: the cluster is not new\n" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	leader.fail = nil
	if code, stdout, _ := run(t, nil, "restore", "-s", addrs, "--abandon"); code != exitOK || stdout != "gave the restore up: the cluster is empty\n" {
		t.Fatalf("exit code %d, %q", code, stdout)
	}
}

// TestRestoreOfDamage writes nothing.
func TestRestoreOfDamage(t *testing.T) {
	leader := &fakeServer{}
	addrs := serveAll(t, leader)
	golden, err := os.ReadFile(goldenBackup)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(name, golden[:len(golden)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := run(t, nil, "restore", "-s", addrs, name)
	if code != exitFailed || stderr != "raftcachectl: nothing was restored: "+name+": it ends early: the backup is damaged\n" || len(leader.steps) > 0 {
		t.Fatalf("exit code %d, %q, %d steps", code, stderr, len(leader.steps))
	}
}

func (f *fakeServer) Members(context.Context) (*admin.MemberList, error) {
	list := f.list // the client changes nothing in it
	return &list, nil
}

func (f *fakeServer) Operate(_ context.Context, operation string, r *admin.MemberRequest) error {
	if f.operated == nil {
		return &admin.RefusedError{Reason: "it is not the matter here"}
	}
	return f.operated(operation, r)
}

// TestLowPriority: a backup yields to whoever else is on the machine, and nothing else in
// the process does.
func TestLowPriority(t *testing.T) {
	nice := func() int {
		n, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // of this thread, as 20 less its value
		if err != nil {
			t.Error(err)
		}
		return 20 - n
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, inside := nice(), 0
	failed := errors.New("failed")
	if err := atLowPriority(func() error { inside = nice(); return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
	if inside != lowPriority || nice() != before {
		t.Errorf("nice %d inside, %d before and %d after; want %d inside, and no change", inside, before, nice(), lowPriority)
	}
}
