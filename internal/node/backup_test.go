package node

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/backup"
	"raftcached/protocol"
)

// backupOf returns a backup of a node, in chunks with their plan.
func backupOf(t *testing.T, n *Node) (h backup.Header, begin admin.RestoreStep, chunks [][]byte) {
	t.Helper()
	var b bytes.Buffer
	if err := (adminNode{n}).Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	c, err := backup.Open(&b)
	for err == nil {
		var chunk []byte
		if chunk, err = c.Next(); err == nil {
			chunks = append(chunks, slices.Clone(chunk))
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	plan := c.Plan()
	return c.Header(), admin.RestoreStep{Step: admin.RestoreBegin, Plan: plan.Append(nil), ID: plan.ID()}, chunks
}

// TestBackupIntoAnotherNode shows that an acknowledged item is in the backup that
// follows, and that all items are in the node that it is restored into.
func TestBackupIntoAnotherNode(t *testing.T) {
	source, target := openNode(t, loneConfig(t)), openNode(t, loneConfig(t))
	awaitState(t, source, admin.StateOK)
	awaitState(t, target, admin.StateOK)
	var h backup.Header
	var begin admin.RestoreStep
	var chunks [][]byte
	for _, key := range []string{"a", "b", "c"} { // a backup each, of which none is older than the write
		play(t, source, "C: set "+key+" 7 0 1\nC: x\nS: STORED\n")
		h, begin, chunks = backupOf(t, source)
	}
	if h.Items != 3 || len(h.Cluster) != 16 || h.Index == 0 {
		t.Fatalf("the backup has the header %+v", h)
	}
	restore := func(want string, s *admin.RestoreStep) {
		t.Helper()
		_, err := (adminNode{target}).Restore(t.Context(), s)
		if got := refusal(t, err); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Fatalf("%s: %q, want %q", s.Step, got, want)
		}
	}
	items := &admin.RestoreStep{Step: admin.RestoreItems, ID: begin.ID, Chunks: chunks}
	restore("no such restore", items)
	restore("", &begin)
	play(t, target, "C: set d 0 0 1\nC: x\nS: SERVER_ERROR a backup is being restored\nC: get a\nS: END\n")
	awaitState(t, target, admin.StateRestoring)
	if err := (adminNode{target}).Backup(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "restor") {
		t.Fatalf("backup of an unfinished restore: %v", err)
	}
	restore("", items)
	restore("", items)
	restore("", &admin.RestoreStep{Step: admin.RestoreEnd, ID: begin.ID})
	play(t, target, "C: get a b c\nS: VALUE a 7 1\nS: x\nS: VALUE b 7 1\nS: x\nS: VALUE c 7 1\nS: x\nS: END\n")
	if got := (adminNode{target}).Status(t.Context()).Memory; got.Digest != h.Digest || got.Items != 3 {
		t.Fatalf("restored %+v, the backup has %+v", got, h)
	}
	restore("", &begin) // once more
	play(t, target, "C: flush_all\nS: OK\n")
	begin.Plan[1]++ // another backup
	restore("not new", &begin)
	restore("no step", &admin.RestoreStep{Step: "?"})
	restore("there is nothing to give up", &admin.RestoreStep{Step: admin.RestoreAbandon})
}

// refusal returns the reason of a *admin.RefusedError, or nothing without an error.
func refusal(t *testing.T, err error) string {
	t.Helper()
	var r *admin.RefusedError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &r):
		t.Fatal(err)
	}
	return r.Reason
}

// TestRestoreThatDoesNotFit says what is too small.
func TestRestoreThatDoesNotFit(t *testing.T) {
	source := openNode(t, loneConfig(t))
	awaitState(t, source, admin.StateOK)
	play(t, source, "C: set a 0 0 2000\nC: "+strings.Repeat("x", 2000)+"\nS: STORED\n")
	_, begin, _ := backupOf(t, source)
	cfg := loneConfig(t)
	cfg.Limits.ItemBytesMax = 1024
	target := openNode(t, cfg)
	awaitState(t, target, admin.StateOK)
	_, err := (adminNode{target}).Restore(t.Context(), &begin)
	if got := refusal(t, err); got != "an item has 3 KiB, and the cluster takes up to 1 KiB: form the new cluster with a higher -I" {
		t.Fatal(got)
	}
}

// TestRestoreOfTheLargestItems brings items of 8 MiB, each of which is a chunk and
// more than a loop has in flight otherwise.
func TestRestoreOfTheLargestItems(t *testing.T) {
	cfg := loneConfig(t)
	cfg.Limits.ItemBytesMax = 8 << 20
	cfg.RequestTimeout = 5 * time.Minute // the race detector takes seconds for such an item, or more on a busy machine
	source := openNode(t, cfg)
	cfg.DataDir = t.TempDir()
	target := openNode(t, cfg)
	for _, n := range []*Node{source, target} {
		awaitState(t, n, admin.StateOK)
	}
	value := bytes.Repeat([]byte("x"), 8<<20-100)
	for _, key := range []string{"a", "b"} {
		r, err := source.Client().Write(t.Context(), protocol.Request{Command: protocol.Set, Key: []byte(key), Value: value})
		if err != nil || r.Status != protocol.StatusStored {
			t.Fatalf("status %d, %v", r.Status, err)
		}
	}
	h, begin, chunks := backupOf(t, source)
	for _, s := range []*admin.RestoreStep{
		&begin, {Step: admin.RestoreItems, ID: begin.ID, Chunks: chunks}, {Step: admin.RestoreEnd, ID: begin.ID},
	} {
		if _, err := (adminNode{target}).Restore(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s.Step, err)
		}
	}
	if got := (adminNode{target}).Status(t.Context()).Memory; got.Digest != h.Digest || got.Items != 2 {
		t.Fatalf("restored %+v, the backup has %+v", got, h)
	}
}
