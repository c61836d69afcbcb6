package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/backup"
	"raftcached/internal/overview"
	"raftcached/replication/disk"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// stallMax is how long a server may send nothing in the middle of a backup before
// another one is asked.
const stallMax = 30 * time.Second

func (c *ctl) newBackup() *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all items to a file, while the cluster serves",
		Long: `backup writes all items of the cluster to FILE, or to the standard output if FILE
is "-": keys, values, flags, times of expiry and cas uniques, as of one index of the
log, which holds everything that was acknowledged before the command began. It is
read from a follower if there is one, slowly enough not to disturb clients. If that
server dies, another one is asked.

FILE appears when it is complete, checked and on disk; until then it has a temporary
name. It holds all items: keep it where you would keep them.

Exit code: 0 the backup is complete; 1 there is none; 64 the command line is wrong.`,
		Example: `  raftcachectl backup /backups/cache-2026-11-27
  raftcachectl backup - | ssh vault 'cat > cache-2026-11-27'`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return c.backup(cmd.Context(), args[0], force) },
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace FILE if it exists")
	return cmd
}

// oneFile is the arguments of a command that takes a file.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("name one file: run %q", cmd.CommandPath()+" --help")
	}
	return nil
}

func (c *ctl) backup(ctx context.Context, name string, force bool) error {
	out, err := c.createOutput(name, force)
	if err != nil {
		return err
	}
	replies, err := c.gather(ctx)
	if err != nil {
		return errors.Join(err, out.abort())
	}
	t := &transfer{}
	begin := time.Now()
	err = c.show(t.line, func() error {
		return atLowPriority(func() error { return c.fetch(ctx, replies, out, t) })
	})
	if err == nil {
		err = out.commit()
	}
	if err != nil {
		return errors.Join(err, out.abort())
	}
	if name == "-" {
		return nil
	}
	h := t.header.Load()
	_, err = fmt.Fprintf(c.Stdout, "wrote %d items as of index %d to %s in %v, from %s\ncontents %s\n",
		h.Items, h.Index, name, time.Since(begin).Round(10*time.Millisecond), t.from, h.Digest)
	return err
}

// lowPriority is the nice value of a thread that has little to say (nice(1)).
const lowPriority = 19

// atLowPriority calls f on a thread that leaves the processors to others first: a server
// may be on the same machine, and reading and checking takes a fifth of a processor.
func atLowPriority(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()                                  // the thread ends with the goroutine
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowPriority) // of this thread; only speed is lost
		done <- f()
	}()
	return <-done
}

// fetch asks the servers for a backup, one after the other, until one has given it.
func (c *ctl) fetch(ctx context.Context, replies []overview.Reply, out *output, t *transfer) error {
	client, err := c.newClient()
	if err != nil {
		return err
	}
	defer client.Close()
	sources := sourcesOf(replies)
	if len(sources) == 0 {
		return errors.New("no server of the cluster serves: see raftcachectl status")
	}
	var tried []string
	for _, r := range sources {
		t.from = fmt.Sprintf("server %d (%s)", r.Status.ID, r.Status.Role)
		t.header.Store(nil)
		err := fetchFrom(ctx, client, r.Addr, out, t)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errOutput):
			return err
		}
		tried = append(tried, fmt.Sprintf("%s: %s", t.from, admin.Why(err)))
		if err := out.restart(); err != nil {
			return fmt.Errorf("%w (%s)", err, strings.Join(tried, ", "))
		}
	}
	return fmt.Errorf("no server gave a backup (%s)", strings.Join(tried, ", "))
}

// sourcesOf returns the servers that serve, in the order in which they are asked:
// those whose work a backup disturbs least first, and of these the ones that are
// furthest.
func sourcesOf(replies []overview.Reply) []overview.Reply {
	var sources []overview.Reply
	for _, r := range replies {
		if r.Status != nil && r.Status.State == admin.StateOK {
			sources = append(sources, r)
		}
	}
	rank := func(role string) int {
		return slices.Index([]string{"learner", "follower", "candidate", "leader"}, role)
	}
	slices.SortStableFunc(sources, func(a, b overview.Reply) int {
		return cmp.Or(cmp.Compare(rank(a.Status.Role), rank(b.Status.Role)), cmp.Compare(b.Status.Applied, a.Status.Applied))
	})
	return sources
}

// fetchFrom writes the backup that a server gives to out, and checks it meanwhile.
func fetchFrom(ctx context.Context, client *admin.Client, addr string, out *output, t *transfer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, err := client.Backup(ctx, addr)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was read
	stalled := time.AfterFunc(stallMax, func() { cancel(fmt.Errorf("it sent nothing for %v", stallMax)) })
	defer stalled.Stop()
	counted := readerFunc(func(b []byte) (int, error) {
		stalled.Reset(stallMax)
		n, err := body.Read(b)
		stalled.Stop() // what is done with it may take longer
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errCut
		}
		return n, err
	})
	if err := t.check(io.TeeReader(counted, out)); err != nil {
		if errors.Is(err, errCut) {
			err = errCut
		}
		return cmp.Or(context.Cause(ctx), err)
	}
	return nil
}

// errCut is the error of a server that went away in the middle.
var errCut = errors.New("it closed the connection in the middle")

type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// transfer is a backup that is being read, and how far that is.
type transfer struct {
	from   string
	header atomic.Pointer[backup.Header] // nil: it has not begun
	items  atomic.Int64
}

// check reads a backup to its end.
func (t *transfer) check(in io.Reader) error {
	contents, err := backup.Open(in)
	if err != nil {
		return err
	}
	h := contents.Header()
	t.header.Store(&h)
	for {
		if _, err := contents.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		t.items.Store(contents.Count())
	}
}

func (t *transfer) line() string {
	h := t.header.Load()
	if h == nil {
		return "waiting for a snapshot of the items"
	}
	return fmt.Sprintf("%s %d of %d items", bar(t.items.Load(), h.Items), t.items.Load(), h.Items)
}

// errOutput is the error of a file that cannot be written: another server does not
// help.
var errOutput = errors.New("cannot write the backup")

// output is the file that a backup goes to, or the standard output. The file may be on
// the disk of a server's log: what is written goes to the disk at once, in pieces.
type output struct {
	w     io.Writer
	file  disk.File // nil: the standard output
	tmp   string    // name of file until it is complete
	name  string
	force bool
	bytes int64
}

func (c *ctl) createOutput(name string, force bool) (*output, error) {
	if name == "-" {
		if isTerminal(c.Stdout) {
			return nil, errors.New("a backup is nothing for a terminal: name a file, or redirect the output")
		}
		return &output{w: c.Stdout}, nil
	}
	if _, err := os.Lstat(name); err == nil && !force {
		return nil, existsError(name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.unfinished")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOutput, err)
	}
	o := &output{tmp: f.Name(), name: name, force: force}
	if err := errors.Join(f.Close(), o.open()); err != nil {
		return nil, errors.Join(err, os.Remove(o.tmp))
	}
	return o, nil
}

// open opens the file, and empties it.
func (o *output) open() error {
	f, err := disk.OS().Create(o.tmp)
	if err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	o.file = f
	o.w = &disk.Paced{File: f}
	return nil
}

func existsError(name string) error {
	return fmt.Errorf("%s exists: choose another name, or replace it with --force", name)
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	o.bytes += int64(n)
	if err != nil {
		return n, fmt.Errorf("%w: %w", errOutput, err)
	}
	return n, nil
}

// restart forgets what was written.
func (o *output) restart() error {
	switch {
	case o.bytes == 0:
		return nil
	case o.file == nil:
		return errors.New("the output ends early and is no backup")
	}
	o.bytes = 0
	_ = o.file.Close() // its contents are forgotten
	return o.open()
}

// commit makes the file durable and gives it its name.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	if err := errors.Join(o.file.Sync(), o.file.Close()); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	if err := o.publish(); err != nil {
		return err
	}
	o.file = nil
	dir, err := os.Open(filepath.Dir(o.name))
	if err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// publish gives the file its name. A link replaces no file that has appeared
// meanwhile; where there are none, it is looked for.
func (o *output) publish() error {
	if !o.force {
		switch err := os.Link(o.tmp, o.name); {
		case err == nil:
			return os.Remove(o.tmp)
		case errors.Is(err, fs.ErrExist):
			return existsError(o.name)
		}
		if _, err := os.Lstat(o.name); err == nil {
			return existsError(o.name)
		}
	}
	if err := os.Rename(o.tmp, o.name); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// abort removes what was written.
func (o *output) abort() error {
	if o.file == nil {
		return nil
	}
	_ = o.file.Close() // it goes away, and may be closed already
	return os.Remove(o.tmp)
}
