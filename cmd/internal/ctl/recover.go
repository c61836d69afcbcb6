package ctl

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"raftcached"
	"raftcached/internal/offline"
	"raftcached/internal/overview"
	"raftcached/replication/disk"
	"raftcached/replication/identity"

	"github.com/spf13/cobra"
)

// recovery is a run of the command recover.
type recovery struct {
	*ctl
	dir        string
	yes, force bool
	progress   atomic.Pointer[string]
}

func (c *ctl) newRecover() *cobra.Command {
	r := &recovery{ctl: c}
	cmd := &cobra.Command{
		Use:   "recover --data DIR",
		Short: "After a lost majority, begin a new cluster with one server's data folder",
		Long: `recover is for the day on which a majority of the servers is lost for good. It makes
the data folder of a server that is left the first one of a new cluster: that
server alone, with all items of its snapshot and its log. Run it on that server's
machine while the server is stopped. If several folders are left, look at each of
them first, without saying yes: the one with the highest term, and among those with the
highest entry, has most.

Before it asks, it says what the folder has and what may be missing: writes that were
acknowledged but did not reach this folder, and changes of members that only lost
servers know of. Entries that may never have been acknowledged are kept.

The folder has another cluster id afterwards: servers of the lost cluster are refused.
Do not start them again; empty their data folders and add them with member add.
A recovery that is interrupted can be run again.

With --config, the server's address is taken from that server.json, otherwise it is
the one that the lost cluster knew. With --force, a damaged folder is recovered as far
as it is readable. If root runs it, all files belong to the owner of the folder afterwards.

Exit code: 0 recovered; 1 refused or failed; 64 the command line is wrong.`,
		Example: `  raftcachectl recover --data /var/lib/raftcached
  raftcachectl recover --data /var/lib/raftcached --config /etc/raftcached/server.json --yes`,
		Args: func(cmd *cobra.Command, args []string) error {
			if r.dir == "" {
				return fmt.Errorf("name the data folder with --data: run %q", cmd.CommandPath()+" --help")
			}
			return noArguments(cmd, args)
		},
		RunE: func(*cobra.Command, []string) error { return r.run() },
	}
	cmd.Flags().StringVar(&r.dir, "data", "", "the data folder, a `DIR`")
	cmd.Flags().BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&r.force, "force", false, "recover what is left of a folder that is damaged or that the others did not trust")
	_ = cmd.MarkFlagDirname("data") // the flag exists
	return cmd
}

func (r *recovery) run() (err error) {
	f, err := r.open()
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close() // the lock ends with the process too
		err = errors.Join(err, giveBack(r.dir))
	}()
	if f.Unfinished() {
		if err := f.Finish(); err != nil {
			return fmt.Errorf("data folder %q: %w", r.dir, err)
		}
		return r.tell(f, "the recovery that was interrupted is finished")
	}
	if err := f.Refuse(r.force); err != nil {
		return fmt.Errorf("data folder %q is not recovered: %w", r.dir, err)
	}
	self, err := r.self(&f.Findings)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(r.Stdout, findingsText(r.dir, &f.Findings)); err != nil {
		return err
	}
	if !r.yes {
		if err := r.ask("This begins a new cluster", "yes"); err != nil {
			return err
		}
	}
	err = r.show(func() string { return "writing the state" }, func() error {
		_, err := f.Recover(self, rand.Reader)
		return err
	})
	if err != nil {
		return fmt.Errorf("data folder %q: %w", r.dir, err)
	}
	return r.tell(f, "recovered")
}

// giveBack gives what root has written in a data folder to its owner, who runs the server.
func giveBack(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !known || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	dir, err = filepath.EvalSymlinks(dir) // WalkDir follows none, and systemd makes the folder one
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(owner.Uid), int(owner.Gid))
	})
}

// open reads the folder.
func (r *recovery) open() (f *offline.Folder, err error) {
	say := func(text string) { r.progress.Store(&text) }
	say("reading snapshot")
	err = r.show(func() string { return *r.progress.Load() }, func() error {
		var err error
		f, err = offline.Open(disk.OS(), r.dir, offline.Options{Progress: func(done, total int64) {
			say(fmt.Sprintf("%s reading log: %d of %d MiB", bar(done, total), done>>20, total>>20))
		}})
		return err
	})
	return f, err
}

// self is where the server is to be found.
func (r *recovery) self(f *offline.Findings) (m identity.Member, err error) {
	known, _ := f.Members.Find(f.RaftID)
	m.Host, m.ClientPort, m.LogPort = known.Host, known.ClientPort, known.LogPort
	if r.config == "" {
		return m, nil
	}
	cluster, err := raftcached.ReadCluster(r.config)
	if err != nil {
		return m, err
	}
	i := slices.IndexFunc(cluster.Servers, func(s raftcached.Server) bool { return s.ID == f.ServerID })
	if i < 0 {
		return m, fmt.Errorf("config %q does not list server %d, which the data folder belongs to: name a server.json that does", r.config, f.ServerID)
	}
	s := cluster.Servers[i]
	m.Host, m.ClientPort, m.LogPort = s.Host, s.ClientPort, s.LogPort
	return m, nil
}

func (r *recovery) tell(f *offline.Folder, what string) error {
	_, err := fmt.Fprintf(r.Stdout, "%s: server %d is the only one of cluster %016x. Start it, and add others with empty data folders: raftcachectl member add\n",
		what, f.ServerID, f.Cluster)
	return err
}

// findingsText says what a folder has and what may be missing.
func findingsText(dir string, f *offline.Findings) string {
	var text strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&text, "%-10s "+format+"\n", append([]any{name}, args...)...)
	}
	line("folder", "%s of server %d, cluster %016x", dir, f.ServerID, f.Cluster)
	when := "at an unknown time"
	if !f.Time.IsZero() {
		when = f.Time.Format("2006-01-02 15:04:05 MST") + " by the cluster's clock"
	}
	line("last entry", "%d of term %d, %s", f.Index, f.Term, when)
	if rest := f.Index - min(f.Commit, f.Index); rest > 0 {
		line("committed", "up to entry %d, as far as it is known here; the %d after it are kept, acknowledged or not", f.Commit, rest)
	} else {
		line("committed", "all of it")
	}
	if f.Snapshot > 0 {
		line("snapshot", "of entry %d", f.Snapshot)
	} else {
		line("snapshot", "none: the log has everything")
	}
	line("items", "%d of %s", f.Items, overview.Size(f.Bytes))
	for i, m := range f.Members.Members {
		name := "members"
		if i > 0 {
			name = ""
		}
		line(name, "%s", memberText(f, i, m.Host))
	}
	for _, err := range f.Damage {
		line("DAMAGE", "%v", err)
	}
	if f.Lost > f.Index {
		line("LOST", "entries %d to %d, at least", f.Index+1, f.Lost)
	}
	if f.Diverged {
		line("DIFFERS", "the other servers held other items, as they found out")
	}
	text.WriteString(`
What may be missing: writes that were acknowledged after the last entry here, which only
lost servers have; and changes of members, like a removal, that only they know of.
What follows: the folder is that of a new cluster, with this server alone. The other
servers' data folders are of no use to it, and are refused.
`)
	return text.String()
}

// memberText says who a member is, and whether this folder has met it.
func memberText(f *offline.Findings, i int, host string) string {
	m := &f.Members.Members[i]
	text := fmt.Sprintf("server %d at %s", m.ServerID, cmp.Or(host, "an unknown address"))
	switch at := slices.IndexFunc(f.Seen, func(s identity.Seen) bool { return [16]byte(s.DirectoryID) == [16]byte(m.Directory) }); {
	case m.RaftID == f.RaftID && m.RaftID != 0:
		text += ", this folder's"
	case m.RaftID == 0:
		text += ", awaited"
	case at >= 0:
		text += fmt.Sprintf(", last met in its start %d", f.Seen[at].Boot)
	default:
		text += ", never met"
	}
	switch {
	case m.Retired:
		text += "; its folder was to be replaced"
	case m.Learner:
		text += "; without a vote"
	}
	return text
}
