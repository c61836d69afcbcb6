package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// smallDisk puts a file system of a few MiB under a server's data folder. It needs
// the right to mount, which root has.
func smallDisk(t *testing.T, s *cluster.Server, mib int) {
	t.Helper()
	must(t, os.MkdirAll(s.DataDir, 0o700))
	err := unix.Mount("tmpfs", s.DataDir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	if errors.Is(err, unix.EPERM) {
		skip(t, "mount a small disk: %v: run the test as root", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, unix.Unmount(s.DataDir, unix.MNT_DETACH)) })
}

// fillDisk has something else fill a server's disk, until so much is free. The result
// empties it again.
func fillDisk(t *testing.T, s *cluster.Server, freeBytes int64) (empty func()) {
	t.Helper()
	name := filepath.Join(s.DataDir, "ballast")
	f, err := os.Create(name)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	var fs unix.Statfs_t
	must(t, unix.Statfs(s.DataDir, &fs))
	err = unix.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-freeBytes)
	if err != nil && !errors.Is(err, unix.ENOSPC) { // the server writes too
		t.Fatal(err)
	}
	return func() { must(t, os.Remove(name)) }
}

// startOnSmallDisks starts servers on disks of so many MiB, of which 16 are the reserve.
func startOnSmallDisks(t *testing.T, servers, mib int) (context.Context, *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	c, err := cluster.New(cluster.Options{Executable: executable, Dir: t.TempDir(), Servers: servers, Settings: map[string]any{
		"memoryLimitMiB": 64, "logRetainMiB": 8, "diskReserveMiB": 16, "electionTicks": 100, "requestTimeoutMs": 5000,
	}})
	must(t, err)
	for _, s := range c.Servers {
		smallDisk(t, s, mib)
	}
	t.Cleanup(func() {
		cancel()
		must(t, c.Close())
		for _, s := range c.Servers {
			if t.Failed() {
				t.Logf("server %d logged:\n%s", s.ID, s.LogTail())
			}
		}
	})
	for _, s := range c.Servers {
		must(t, s.Start())
	}
	must(t, c.AwaitReady(ctx))
	return ctx, c
}

// awaitSet sets a key until the answer is the wanted one.
func awaitSet(ctx context.Context, t *testing.T, s *cluster.Server, want string) {
	t.Helper()
	client := testclient.Dial(t, s.ClientAddr)
	must(t, cluster.Await(ctx, func() error {
		if got := client.Ask("set k 0 0 1", "x"); got != want {
			return fmt.Errorf("set at server %d: %q, want %q", s.ID, got, want)
		}
		return nil
	}))
}

const outOfMemory = "SERVER_ERROR out of memory storing object"

// wantRefusals: all protocols refuse what writes, in memcached's words, and a read is
// answered.
func wantRefusals(t *testing.T, s *cluster.Server) {
	t.Helper()
	client := testclient.Dial(t, s.ClientAddr)
	for _, c := range [][2]string{
		{"set k 0 0 1\r\nx", outOfMemory},
		{"ms k 1\r\nx", outOfMemory},
		{"delete k", "SERVER_ERROR out of memory"},
		{"incr k 1", "SERVER_ERROR out of memory"},
		{"touch k 0", "SERVER_ERROR out of memory"},
		{"mg k v", "VA 1\r\nx"},
	} {
		client.Send(c[0])
		client.Expect(strings.Split(c[1], "\r\n")...)
	}
	conn, err := net.Dial("tcp", s.ClientAddr)
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	must(t, conn.SetDeadline(time.Now().Add(clientTimeout)))
	packet := []byte{0x80, 1, 0, 1, 8, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // set k x
	_, err = conn.Write(append(packet, 0, 0, 0, 0, 0, 0, 0, 0, 'k', 'x'))
	must(t, err)
	head := make([]byte, 24)
	_, err = io.ReadFull(conn, head)
	must(t, err)
	text := make([]byte, binary.BigEndian.Uint32(head[8:]))
	_, err = io.ReadFull(conn, text)
	must(t, err)
	if code := binary.BigEndian.Uint16(head[6:]); code != 0x82 || string(text) != "Out of memory allocating item" {
		t.Errorf("set in the binary protocol: %#x %q", code, text)
	}
}

// TestLowDisks: a cluster goes on while a majority of its servers has room on their
// disks, whoever leads, refuses writes otherwise, and no server ends.
func TestLowDisks(t *testing.T) {
	t.Parallel()
	ctx, c := startOnSmallDisks(t, 3, 96)
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	awaitSet(ctx, t, leader, "STORED")

	// The leader's disk: another server leads.
	emptyFirst := fillDisk(t, leader, 8<<20)
	awaitLine(t, leader, `level=WARN msg="disk low: \d+ MiB of 96 MiB free, the reserve is 16 MiB; while too few servers have room, writes are refused: make room on the disk of `)
	awaitLine(t, leader, `level=WARN msg="the disk is low: handing leadership over"`)
	must(t, cluster.Await(ctx, func() error {
		if next, err := c.AwaitLeader(ctx); err != nil || next == leader {
			return fmt.Errorf("server %d leads, %w", leader.ID, err)
		}
		return nil
	}))
	for _, s := range c.Servers {
		awaitSet(ctx, t, s, "STORED")
	}

	// That of a second one: nobody takes writes, everybody answers reads.
	second := followersOf(c, leader)[0]
	emptySecond := fillDisk(t, second, 8<<20)
	for _, s := range c.Servers {
		awaitSet(ctx, t, s, outOfMemory)
		wantRefusals(t, s)
		awaitLine(t, s, `level=ERROR msg="writes are refused: too few servers have room on their disks`)
		if stats := testclient.Dial(t, s.ClientAddr).Stats("raft"); stats["writes_refused"] != "disk full" || stats["disk_reserve_bytes"] != fmt.Sprint(16<<20) {
			t.Errorf("stats of server %d: %v", s.ID, stats)
		}
		if code, body := probe(s, "/status"); code != 200 || !strings.Contains(body, `"writesRefused": "disk full"`) {
			t.Errorf("status of server %d: %d %s", s.ID, code, body)
		}
		if code, body := probe(s, "/readyz"); code != 200 || !strings.Contains(body, "writes are refused") {
			t.Errorf("readyz of server %d: %d %s", s.ID, code, body)
		}
	}
	code, out, _ := ctlOf(ctx, t, c)("status")
	if code != 1 || !strings.Contains(out, "writes are refused") || !strings.Contains(out, "Make room") {
		t.Errorf("raftcachectl status: %d\n%s", code, out)
	}
	emptySecond()
	for _, s := range c.Servers {
		awaitSet(ctx, t, s, "STORED")
		awaitLine(t, s, `msg="writes are accepted again after [\d.ms]+"`)
	}
	emptyFirst()
	awaitLine(t, leader, `msg="disk no longer low after [\d.ms]+: \d+ MiB of 96 MiB free"`)
}

// TestFollowerWithAFullDisk: a follower whose disk is full to the last byte waits.
// Its clients are refused, the others go on, and it comes back.
func TestFollowerWithAFullDisk(t *testing.T) {
	t.Parallel()
	ctx, c := startOnSmallDisks(t, 3, 128)
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	follower := followersOf(c, leader)[0]
	empty := fillDisk(t, follower, 0)
	client := testclient.Dial(t, leader.ClientAddr)
	value := strings.Repeat("v", 256<<10)
	for i := range 60 { // more than the segments that are there
		if got := client.Ask(fmt.Sprintf("set %d 0 0 %d", i%8, len(value)), value); got != "STORED" {
			t.Fatalf("set %d: %q", i, got)
		}
	}
	awaitLine(t, follower, `level=ERROR msg="the disk is full: the log waits for room"`)
	awaitSet(ctx, t, follower, outOfMemory)
	empty()
	awaitLine(t, follower, `msg="the disk has room again"`)
	awaitSet(ctx, t, follower, "STORED")
	must(t, c.AwaitEqual(ctx))
}

// TestLoneServerFillsItsDisk: a server alone that fills its disk by itself refuses
// writes, and goes on after flush_all.
func TestLoneServerFillsItsDisk(t *testing.T) {
	t.Parallel()
	ctx, c := startOnSmallDisks(t, 1, 80)
	s := c.Servers[0]
	client := testclient.Dial(t, s.ClientAddr)
	value := strings.Repeat("v", 256<<10)
	stored := 0
	for got := ""; got != outOfMemory; {
		if got = client.Ask(fmt.Sprintf("set %d 0 0 %d", stored, len(value)), value); got == "STORED" {
			stored++
		} else if got != outOfMemory || stored > 1000 {
			t.Fatalf("set %d: %q", stored, got)
		}
	}
	awaitLine(t, s, `msg="disk nearly low: `)
	if got := client.Ask("mg 0 s"); got != fmt.Sprintf("HD s%d", len(value)) {
		t.Errorf("a read is answered %q", got)
	}
	if got := client.Ask("flush_all"); got != "OK" {
		t.Errorf("flush_all is answered %q", got)
	}
	awaitSet(ctx, t, s, "STORED")
	must(t, s.Process().End(ctx, syscall.SIGTERM))
	if code := s.Process().ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestStartOnAFullDisk: a server that is killed while its disk is full to the last byte
// starts again, and again: it leads and answers reads as long as its log gave back room, waits
// when there is none left, and goes on when there is.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	ctx, c := startOnSmallDisks(t, 1, 80)
	s := c.Servers[0]
	value := strings.Repeat("v", 64<<10)
	client := testclient.Dial(t, s.ClientAddr)
	for i := range 100 { // more than a segment
		if got := client.Ask(fmt.Sprintf("set %d 0 0 %d", i, len(value)), value); got != "STORED" {
			t.Fatalf("set %d: %q", i, got)
		}
	}
	const (
		startsMax = 20
		waits     = "the log waits for room"
	)
	var empty func()
	led, waited := 0, false
	for start := 1; !waited; start++ {
		if start > startsMax {
			t.Fatalf("after %d starts there is still room", startsMax)
		}
		for i := range 20 {
			client.Send(fmt.Sprintf("set %d 0 0 %d noreply", i, len(value)), value) // on their way
		}
		must(t, s.Kill())
		empty = fillDisk(t, s, 0)
		must(t, s.Start())
		must(t, cluster.Await(ctx, func() error {
			text, err := os.ReadFile(s.LogFile)
			if waited = strings.Contains(string(text), waits); waited || err != nil {
				return err
			}
			if !s.Running() {
				t.Fatalf("it has ended: %s", s.LogTail())
			}
			if !strings.Contains(string(text), fmt.Sprintf("leads (term %d)", start+1)) {
				return fmt.Errorf("start %d: it does not lead", start)
			}
			return nil
		}))
		if waited {
			break
		}
		led++
		must(t, c.AwaitServing(ctx, s.ID))
		client = testclient.Dial(t, s.ClientAddr)
		if got := client.Ask("mg 99 s"); got != fmt.Sprintf("HD s%d", len(value)) {
			t.Errorf("start %d: a read is answered %q", start, got)
		}
		awaitSet(ctx, t, s, outOfMemory)
	}
	if led == 0 {
		t.Error("it led after no start")
	}
	empty()
	awaitLine(t, s, `msg="the disk has room again"`)
	must(t, c.AwaitServing(ctx, s.ID))
	awaitSet(ctx, t, s, "STORED")
	if got := testclient.Dial(t, s.ClientAddr).Ask("mg 99 s"); got != fmt.Sprintf("HD s%d", len(value)) {
		t.Errorf("a read is answered %q", got)
	}
}
