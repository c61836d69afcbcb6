package ctl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"

	"github.com/spf13/cobra"
)

// verifyPause is how long verify waits before it asks again.
const verifyPause = 100 * time.Millisecond

func (c *ctl) newVerify() *cobra.Command {
	wait := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that all servers hold the same items",
		Long: `verify compares the digests of the items of all servers, at one index of the log.
It waits for an index that all of them have reached. The contents are a digest of the
items alone, which a backup of them has too, and every cluster with the same items.

Exit code: 0 all servers hold the same items; 1 they do not, or one of them could
not be compared; 64 the command line is wrong.`,
		Example: `  raftcachectl verify
  raftcachectl verify --wait 1m`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.verify(cmd.Context(), wait) },
	}
	cmd.Flags().DurationVar(&wait, "wait", wait, "how long to wait for an index that all servers have reached")
	return cmd
}

func (c *ctl) verify(ctx context.Context, wait time.Duration) error {
	late := time.After(wait)
	for {
		replies, err := c.gather(ctx)
		if err != nil {
			return err
		}
		common := compare(replies)
		if common.index > 0 {
			return c.report(common)
		}
		select {
		case <-time.After(verifyPause):
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return c.report(common)
		}
	}
}

// comparison is the digests of one index.
type comparison struct {
	index   uint64 // 0: there is none that all have
	ids     []int
	digests map[int]admin.Digest // by server id
	address map[int]string
	missing []int // servers that did not answer

	contents string // digest of the items of all servers, if they say the same; else empty
	items    int64  // likewise
}

// compare finds the highest index at which all servers that answered have told
// their digests.
func compare(replies []overview.Reply) comparison {
	v := overview.New(replies, &overview.Starter{})
	c := comparison{digests: map[int]admin.Digest{}, address: map[int]string{}}
	answers := map[int]*admin.Status{}
	for _, r := range replies {
		if r.Status != nil && r.Status.Cluster == v.Cluster {
			answers[r.Status.ID] = r.Status
		}
	}
	have := map[uint64]int{}
	for _, r := range v.Servers {
		s := answers[r.ID]
		if r.Awaited {
			continue
		}
		if s == nil {
			c.missing = append(c.missing, r.ID)
			continue
		}
		if len(c.ids) == 0 {
			c.contents, c.items = s.Memory.Digest, s.Memory.Items
		} else if c.contents != s.Memory.Digest {
			c.contents = ""
		}
		c.ids = append(c.ids, r.ID)
		c.address[r.ID] = r.Address
		for _, d := range s.Digests {
			have[d.Index]++
		}
	}
	for index, n := range have {
		if n == len(c.ids) {
			c.index = max(c.index, index)
		}
	}
	for _, id := range c.ids {
		i := slices.IndexFunc(answers[id].Digests, func(d admin.Digest) bool { return d.Index == c.index })
		if i >= 0 {
			c.digests[id] = answers[id].Digests[i]
		}
	}
	return c
}

// report shows a comparison and returns nil if all servers are equal.
func (c *ctl) report(cmp comparison) error {
	if cmp.index == 0 {
		return fmt.Errorf("the servers %s have no index in common yet: wait longer with --wait, or see raftcachectl status", join(cmp.ids))
	}
	table := [][]string{{"ID", "ADDRESS", "ITEMS", "ORDER"}}
	groups := map[admin.Digest][]int{}
	for _, id := range cmp.ids {
		d := cmp.digests[id]
		groups[d] = append(groups[d], id)
		table = append(table, []string{fmt.Sprint(id), cmp.address[id], d.Contents, d.Order})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "digests at index %d\n", cmp.index)
	writeTable(&text, table, func(_, _ int, cell string) string { return cell })
	if cmp.contents != "" {
		fmt.Fprintf(&text, "contents %s, %d items\n", cmp.contents, cmp.items)
	}
	equal := len(groups) == 1
	switch {
	case !equal:
		fmt.Fprintf(&text, "DIFFERENT: %s\n", differing(groups))
	case len(cmp.missing) > 0:
		fmt.Fprintf(&text, "EQUAL as far as compared: %s did not answer\n", theServers(cmp.missing))
	default:
		fmt.Fprintln(&text, "EQUAL: all servers hold the same items")
	}
	if _, err := fmt.Fprint(c.Stdout, text.String()); err != nil {
		return err
	}
	if !equal || len(cmp.missing) > 0 {
		return exitError(exitFailed)
	}
	return nil
}

// differing says who agrees with whom.
func differing(groups map[admin.Digest][]int) string {
	var parts []string
	for _, ids := range groups {
		parts = append(parts, join(ids))
	}
	slices.Sort(parts)
	return "servers " + strings.Join(parts, " | ") + "; the servers find that out themselves, and a minority fetches the items of the majority"
}

func theServers(ids []int) string {
	if len(ids) == 1 {
		return "server " + join(ids)
	}
	return "the servers " + join(ids)
}

func join(ids []int) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprint(id)
	}
	return strings.Join(texts, ", ")
}
