package ctl

import (
	"testing"

	"raftcached/internal/admin"
)

// TestLeases: what is asked of the server, and what is shown.
func TestLeases(t *testing.T) {
	t.Chdir(t.TempDir())
	f := &fakeServer{status: *statusOf(0, 3), list: three()}
	f.status.Leases, f.list.Leases = "off", "off"
	f.operated = func(operation string, r *admin.MemberRequest) error {
		if operation != "leases" || r.ID != nil || r.Leases != "all" {
			t.Errorf("asked for %s %+v", operation, r)
		}
		f.status.Leases, f.list.Leases = r.Leases, r.Leases
		return nil
	}
	addr := operated(t, f)
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{nil, exitOK, "leases are off\n", ""},
		{[]string{"some"}, exitUsage, "", "raftcachectl: leases \"some\" are unknown: write off, leader or all\n"},
		{[]string{"all"}, exitOK, "leases are all\n", ""},
		{nil, exitOK, "leases are all\n", ""},
	} {
		code, stdout, stderr := run(t, nil, append([]string{"leases", "-s", addr}, c.args...)...)
		if code != c.code || stdout != c.stdout || stderr != c.stderr {
			t.Errorf("leases %v: exit code %d, %q, %q; want %d, %q, %q", c.args, code, stdout, stderr, c.code, c.stdout, c.stderr)
		}
	}
	f.status.Leases = ""
	if code, _, stderr := run(t, nil, "leases", "-s", addr); code != exitFailed || stderr == "" {
		t.Errorf("nobody knows: exit code %d, %q", code, stderr)
	}
}
