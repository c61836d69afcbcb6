package ctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/backup"
	"raftcached/internal/overview"

	"github.com/spf13/cobra"
)

const (
	// stepBytesMax is how much goes into one step of a restore. A chunk of more goes
	// alone.
	stepBytesMax = 1 << 20

	// restorePatience is how long a restore goes on without getting any further, and
	// restoreRetry the pause between two attempts.
	restorePatience = 30 * time.Second
	restoreRetry    = 200 * time.Millisecond

	// comparePatience is how long it waits at the end for servers that lag.
	comparePatience = 30 * time.Second
)

func (c *ctl) newRestore() *cobra.Command {
	abandon := false
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill a new, empty cluster with the items of a backup",
		Long: `restore puts all items of a backup into a new cluster of any size that nothing was
stored in. FILE is checked first, and refused if it is damaged or does not fit the
cluster's memory limit. Items that have expired since are left out; cas uniques and
the order in which items are evicted stay.

Until all items are there, clients find nothing and their writes are refused with
"SERVER_ERROR a backup is being restored"; then all items appear at once, and the
contents of all servers are compared. A restore that was interrupted goes on when the
command is repeated. --abandon gives it up: the cluster is empty and new again.

Exit code: 0 all items are there; 1 they are not; 64 the command line is wrong.`,
		Example: `  raftcachectl restore /backups/cache-2026-11-27
  raftcachectl restore --abandon`,
		Args: func(cmd *cobra.Command, args []string) error {
			if abandon {
				return noArguments(cmd, args)
			}
			return oneFile(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if abandon {
				return c.abandon(cmd.Context())
			}
			return c.restore(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVar(&abandon, "abandon", false, "give up a restore that is not complete")
	return cmd
}

func (c *ctl) restore(ctx context.Context, name string) error {
	f, err := openFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	r := &restoring{ctl: c, file: f}
	if r.client, err = c.newClient(); err != nil {
		return err
	}
	defer r.client.Close()
	begin := time.Now()
	if err := c.show(r.line, func() error { return r.readPlan() }); err != nil {
		return fmt.Errorf("nothing was restored: %s: %w", name, err)
	}
	if err := c.show(r.line, func() error { return r.run(ctx) }); err != nil {
		return err
	}
	took := time.Since(begin).Round(10 * time.Millisecond)
	if _, err := fmt.Fprintf(c.Stdout, "restored %d items as of index %d of cluster %s in %v\n", r.header.Items, r.header.Index, overview.Short(r.header.Cluster), took); err != nil {
		return err
	}
	return r.compare(ctx)
}

func (c *ctl) abandon(ctx context.Context) error {
	client, err := c.newClient()
	if err != nil {
		return err
	}
	defer client.Close()
	r := &restoring{ctl: c, client: client}
	if err := r.insist(ctx, func() error {
		_, err := r.step(ctx, &admin.RestoreStep{Step: admin.RestoreAbandon})
		return err
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Stdout, "gave the restore up: the cluster is empty")
	return err
}

// restoring is one run of restore.
type restoring struct {
	ctl    *ctl
	client *admin.Client
	file   *os.File

	header backup.Header
	begin  admin.RestoreStep // with the plan
	addr   string            // of the server that has answered last; empty: none
	begun  bool              // one has done a step

	checked atomic.Bool
	items   atomic.Int64 // read, or restored
	whole   atomic.Int64
	next    uint64    // chunk that the cluster waits for
	moved   time.Time // when next last rose
}

func (r *restoring) line() string {
	what := "checking"
	if r.checked.Load() {
		what = "restoring"
	}
	return fmt.Sprintf("%s %s %d of %d items", what, bar(r.items.Load(), r.whole.Load()), r.items.Load(), r.whole.Load())
}

// readPlan reads the whole file, and so checks it before anything is written.
func (r *restoring) readPlan() error {
	contents, err := r.open()
	for err == nil {
		r.items.Store(contents.Count())
		_, err = contents.Next()
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	plan := contents.Plan()
	r.begin = admin.RestoreStep{Step: admin.RestoreBegin, Plan: plan.Append(nil), ID: plan.ID()}
	r.checked.Store(true)
	r.items.Store(0)
	return nil
}

func (r *restoring) open() (*backup.Contents, error) {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	contents, err := backup.Open(bufio.NewReaderSize(r.file, 1<<20))
	if err == nil {
		r.header = contents.Header()
		r.whole.Store(r.header.Items)
	}
	return contents, err
}

// run does all steps. It goes on from where the cluster is after each failure.
func (r *restoring) run(ctx context.Context) error {
	err := r.insist(ctx, func() error {
		next, err := r.step(ctx, &r.begin)
		if err != nil {
			return err
		}
		r.advance(next)
		if err := r.send(ctx); err != nil {
			return err
		}
		_, err = r.step(ctx, &admin.RestoreStep{Step: admin.RestoreEnd, ID: r.begin.ID})
		return err
	})
	var refusal *admin.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return err
	case !r.begun:
		return fmt.Errorf("nothing was restored: %w", err)
	}
	return fmt.Errorf("the restore is not complete (%d of %d items): %w: repeat the command, and it goes on", r.items.Load(), r.header.Items, err)
}

// insist repeats what failed as long as that gets further now and then, and says why it
// waits. A refusal and damage of the file stay, and so does that nobody has answered yet.
func (r *restoring) insist(ctx context.Context, try func() error) error {
	r.moved = time.Now()
	said := ""
	for {
		err := try()
		var refusal *admin.RefusedError
		if err == nil || errors.As(err, &refusal) || errors.Is(err, backup.ErrDamaged) || time.Since(r.moved) > restorePatience {
			return err
		}
		if errors.Is(err, errNobody) && !r.begun {
			return err
		}
		why := admin.Why(err)
		if r.addr != "" {
			why = r.addr + ": " + why
		}
		if why != said {
			r.ctl.complain(fmt.Errorf("waiting, for up to %v: %s", restorePatience, why))
			said = why
		}
		r.addr = ""
		select {
		case <-time.After(restoreRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// advance notes how many chunks the cluster has.
func (r *restoring) advance(next uint64) {
	if next > r.next {
		r.next, r.moved = next, time.Now()
	}
}

// send sends the chunks that the cluster lacks, in steps of about stepBytesMax.
func (r *restoring) send(ctx context.Context) error {
	contents, err := r.open()
	if err != nil {
		return err
	}
	step := admin.RestoreStep{Step: admin.RestoreItems, ID: r.begin.ID}
	bytes, first := 0, r.next
	flush := func() error {
		if len(step.Chunks) == 0 {
			return nil
		}
		next, err := r.step(ctx, &step)
		if err != nil {
			return err
		}
		r.advance(next)
		r.items.Store(contents.Count())
		step.Chunks, bytes = step.Chunks[:0], 0
		return nil
	}
	for n := uint64(0); ; n++ {
		chunk, err := contents.Next()
		if errors.Is(err, io.EOF) {
			return flush()
		} else if err != nil {
			return err
		}
		if n < first {
			continue
		}
		if len(step.Chunks) > 0 && bytes+len(chunk) > stepBytesMax {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(step.Chunks) == 0 {
			step.First = n
		}
		step.Chunks = append(step.Chunks, slices.Clone(chunk))
		bytes += len(chunk)
	}
}

// step has a server do a step: the one that answered last, or any that can.
func (r *restoring) step(ctx context.Context, s *admin.RestoreStep) (chunks uint64, err error) {
	if r.addr == "" {
		if r.addr, err = r.pick(ctx); err != nil {
			return 0, err
		}
	}
	chunks, err = r.client.Restore(ctx, r.addr, s)
	r.begun = r.begun || err == nil
	return chunks, err
}

// pick chooses a server that serves: the leader, which saves a hop.
func (r *restoring) pick(ctx context.Context) (addr string, err error) {
	replies, err := r.ctl.gather(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range replies {
		if a.Status == nil || a.Status.State != admin.StateOK && a.Status.State != admin.StateRestoring {
			continue
		}
		if addr == "" || a.Status.Role == "leader" {
			addr = a.Addr
		}
	}
	if addr == "" {
		return "", errors.New("no server of the cluster serves: see raftcachectl status")
	}
	return addr, nil
}

// compare says whether all servers hold the same items now.
func (r *restoring) compare(ctx context.Context) error {
	late := time.Now().Add(comparePatience)
	for {
		replies, err := r.ctl.gather(ctx)
		if err != nil {
			return err
		}
		found := compare(replies)
		if found.index > 0 && len(found.missing) == 0 || time.Now().After(late) {
			if found.contents == r.header.Digest {
				_, err = fmt.Fprintln(r.ctl.Stdout, "the contents are those of the backup")
			} else if gone := r.header.Items - found.items; found.contents != "" && gone > 0 {
				_, err = fmt.Fprintf(r.ctl.Stdout, "%d items have expired since the backup\n", gone)
			}
			return errors.Join(err, r.ctl.report(found))
		}
		select {
		case <-time.After(verifyPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
