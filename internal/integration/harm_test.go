package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

var (
	harmRuns  = flag.Int("harm.runs", harmRunsDefault, "real clusters that TestHarmedServers harms")
	harmFirst = flag.Uint64("harm.first", 1, "seed of the first one")
)

// harmRunsDefault is few: each takes some seconds.
const harmRunsDefault = 3

// A server may wait for others for good: if no majority of folders is whole, or if the
// folder is that of another cluster, as its own servers say. It is looked at after this time.
const (
	harmPatience         = 4 * time.Second
	harmPatienceMajority = time.Minute
)

// refusals are the sentences with which a server ends whose data folder cannot be
// trusted. Each names what helps.
var refusals = []*regexp.Regexp{
	regexp.MustCompile(`(cannot be trusted|is not complete|is damaged at byte|no usable snapshot|does not belong to this data folder|is not what this server has acknowledged|is a copy|formed without this data folder|is not the one that the cluster was formed with|holds a log but no file).*(raftcachectl member replace \d|move the folder away)`),
	regexp.MustCompile(`data folder ".*" belongs to server \d, not to server \d: give each server a folder of its own; if that of server \d is lost, run .raftcachectl member replace \d`),
	regexp.MustCompile(`is of cluster [0-9a-f]{16}, and where \d of its \d voters were are servers of cluster [0-9a-f]{16}: .*run .raftcachectl member replace \d`),
}

// harmCase is a cluster whose folders are harmed.
type harmCase struct {
	t       *testing.T
	rng     *rand.Rand
	c       *cluster.Cluster
	acked   []string          // keys
	written map[string]string // values of all keys, acknowledged or not
	older   []disktest.Folder
	whole   []disktest.Folder
	harmed  []int
	waiting []int // servers that wait for others for good, which know what helps
	done    []string
}

// TestHarmedServers damages, empties, swaps and sets back the folders of one, two or all
// real servers, after kill -9, and starts all again. Each starts, or ends with a known
// sentence that names what helps; nobody answers with what was never written, and what
// was acknowledged is there if a majority of the folders is whole.
func TestHarmedServers(t *testing.T) {
	if testing.Short() {
		t.Skip("damages folders of servers that do not run: not in a short run")
	}
	t.Parallel()
	var mu sync.Mutex
	refused, served := 0, 0
	t.Run("cases", func(t *testing.T) {
		for i := range *harmRuns {
			seed := *harmFirst + uint64(i)
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				h := &harmCase{t: t, rng: rand.New(rand.NewPCG(seed, 0)), written: map[string]string{}}
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("after %s\nrepeat with: go test ./internal/integration -run '^TestHarmedServers$' -harm.first=%d -harm.runs=1", strings.Join(h.done, ", "), seed)
					}
				})
				r, s := h.run()
				mu.Lock()
				defer mu.Unlock()
				refused += r
				served += s
			})
		}
	})
	t.Logf("%d clusters: %d servers refused, %d served", *harmRuns, refused, served)
}

func (h *harmCase) run() (refused, served int) {
	servers := []int{1, 3, 3, 3, 3}[h.rng.IntN(5)]
	retain := []int{1, 64}[h.rng.IntN(2)]
	ctx, c := startCluster(h.t, cluster.Options{Servers: servers, Settings: map[string]any{"logRetainMiB": retain, "requestTimeoutMs": 2000}})
	h.c = c
	h.write(20 + h.rng.IntN(100))
	h.stopAll(ctx)
	h.older = h.copies("older")
	if h.rng.IntN(3) > 0 {
		h.startAll()
		must(h.t, c.AwaitReady(ctx))
		h.write(20 + h.rng.IntN(100))
		must(h.t, c.AwaitEqual(ctx))
		h.writeUnheard()
		h.stopAll(ctx)
	}
	h.whole = h.copies("whole")
	h.harmed = h.rng.Perm(servers)[:1+h.rng.IntN(servers)]
	for _, id := range h.harmed {
		harms := disktest.Harms{Rand: h.rng, Source: func() (disktest.Folder, string) { return h.source(id) }}
		what, err := harms.Do(dataFolder(c.Servers[id].DataDir))
		must(h.t, err)
		h.done = append(h.done, fmt.Sprintf("server %d: %s", id, what))
	}
	h.startAll()
	h.await(ctx)
	for _, s := range c.Servers {
		if !s.Running() {
			h.checkRefusal(s)
			refused++
		} else if h.check(s) {
			served++
		}
	}
	return refused, served
}

func dataFolder(dir string) disktest.Folder { return disktest.Folder{FS: disk.OS(), Dir: dir} }

// write stores keys at any servers, small and large ones, and waits for each.
func (h *harmCase) write(count int) {
	clients := clientsOf(h.t, h.c)
	for range count {
		key := fmt.Sprintf("key-%d", len(h.written))
		value := fmt.Sprintf("%s %s %s", h.t.Name(), key, strings.Repeat("v", h.rng.IntN(30<<10)))
		h.written[key] = value
		if err := clients[h.rng.IntN(len(clients))].Set(&memcache.Item{Key: key, Value: []byte(value)}); err == nil {
			h.acked = append(h.acked, key)
		}
	}
}

// writeUnheard stores keys while the servers are being killed.
func (h *harmCase) writeUnheard() {
	for i := range 3 {
		client := clientOf(h.t, h.c.Servers[h.rng.IntN(len(h.c.Servers))])
		key := fmt.Sprintf("unheard-%d", i)
		value := h.t.Name() + " " + key
		h.written[key] = value
		go func() { _ = client.Set(&memcache.Item{Key: key, Value: []byte(value)}) }() // it may fail
	}
}

// stopAll kills the servers, or stops them.
func (h *harmCase) stopAll(ctx context.Context) {
	for _, s := range h.c.Servers {
		if h.rng.IntN(4) == 0 {
			must(h.t, s.Stop(ctx))
		} else {
			must(h.t, s.Kill())
		}
	}
}

func (h *harmCase) startAll() {
	for _, s := range h.c.Servers {
		must(h.t, s.Start())
	}
}

// copies returns copies of the servers' folders.
func (h *harmCase) copies(name string) (all []disktest.Folder) {
	dir := h.t.TempDir()
	for _, s := range h.c.Servers {
		to := dataFolder(filepath.Join(dir, fmt.Sprint(name, s.ID)))
		must(h.t, dataFolder(s.DataDir).CopyTo(to))
		all = append(all, to)
	}
	return all
}

// source returns a folder that something may be taken from.
func (h *harmCase) source(id int) (from disktest.Folder, what string) {
	switch n := len(h.whole); h.rng.IntN(3) {
	case 0:
		return h.older[id], "its older self"
	case 1:
		if n > 1 {
			other := (id + 1 + h.rng.IntN(n-1)) % n
			return h.whole[other], fmt.Sprintf("server %d", other)
		}
	}
	folders := foreignFolders(h.t)
	other := h.rng.IntN(len(folders))
	return folders[other], fmt.Sprintf("another cluster's server %d", other)
}

var foreign struct {
	sync.Mutex
	folders []disktest.Folder
}

// foreignFolders returns the folders of the three servers of another cluster.
func foreignFolders(t *testing.T) []disktest.Folder {
	t.Helper()
	foreign.Lock()
	defer foreign.Unlock()
	if foreign.folders != nil {
		return foreign.folders
	}
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"logRetainMiB": 1}})
	h := &harmCase{t: t, rng: rand.New(rand.NewPCG(0, 0)), c: c, written: map[string]string{}}
	h.write(100)
	h.stopAll(ctx)
	for _, s := range c.Servers {
		to := dataFolder(filepath.Join(filepath.Dir(executable), fmt.Sprint("foreign", s.ID)))
		must(t, dataFolder(s.DataDir).CopyTo(to))
		foreign.folders = append(foreign.folders, to)
	}
	return foreign.folders
}

// isMajority reports whether the folders that were not harmed are a majority.
func (h *harmCase) isMajority() bool { return 2*(len(h.c.Servers)-len(h.harmed)) > len(h.c.Servers) }

// await waits until the whole folders serve, and each harmed one is refused or serves. If
// there is no majority of whole ones, it only waits for a while.
func (h *harmCase) await(ctx context.Context) {
	if !h.isMajority() {
		ctx, cancel := context.WithTimeout(ctx, harmPatience)
		defer cancel()
		for _, s := range h.c.Servers {
			_ = awaitSettled(ctx, s) // it may wait for the others for good
		}
		return
	}
	for _, s := range h.c.Servers {
		if !slices.Contains(h.harmed, s.ID) {
			must(h.t, h.c.AwaitServing(ctx, s.ID))
		}
	}
	for _, id := range h.harmed {
		s := h.c.Servers[id]
		settled, cancel := context.WithTimeout(ctx, harmPatienceMajority)
		switch err := awaitSettled(settled, s); {
		case err == nil:
		case h.othersKnow(s):
			h.waiting = append(h.waiting, id)
		default:
			h.t.Errorf("server %d neither serves nor ends: %v: %s", id, err, s.LogTail())
		}
		cancel()
	}
}

// awaitSettled waits until a server ends or knows a leader.
func awaitSettled(ctx context.Context, s *cluster.Server) error {
	return cluster.Await(ctx, func() error {
		if !s.Running() {
			return nil
		}
		stats, err := cluster.AskRaftStats(ctx, s.ClientAddr)
		if err == nil && stats.LeaderID < 0 {
			err = errors.New("no leader")
		}
		return err
	})
}

// othersKnow reports whether another server says what helps against a server's folder.
func (h *harmCase) othersKnow(s *cluster.Server) bool {
	return slices.ContainsFunc(h.c.Servers, func(other *cluster.Server) bool {
		return other != s && strings.Contains(other.LogTail(), replaceCommand(s))
	})
}

// checkRefusal checks how a server has ended.
func (h *harmCase) checkRefusal(s *cluster.Server) {
	tail := s.LogTail()
	last := tail[strings.LastIndexByte(tail, '\n')+1:]
	h.t.Logf("server %d ends: %s", s.ID, last)
	if !slices.ContainsFunc(refusals, func(r *regexp.Regexp) bool { return r.MatchString(last) }) {
		h.t.Errorf("server %d ends with a sentence that helps nobody: %s", s.ID, last)
	}
	if code := s.Process().ExitCode(); code != exitConfiguration {
		h.t.Errorf("server %d has exit code %d, want %d", s.ID, code, exitConfiguration)
	}
	if strings.Contains(tail, "panic") || strings.Contains(tail, "goroutine ") {
		h.t.Errorf("server %d panics: %s", s.ID, tail)
	}
	if !slices.Contains(h.harmed, s.ID) && h.isMajority() {
		h.t.Errorf("server %d is whole, and ends: %s", s.ID, last)
	}
}

// read reads keys at a server, more than once if it has to answer: it may elect a leader.
func (h *harmCase) read(client *memcache.Client, s *cluster.Server, keys []string) (items map[string]*memcache.Item, err error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), testLimit)
	defer cancel()
	_ = cluster.Await(ctx, func() error {
		if items, err = client.GetMulti(keys); !s.Running() || !h.isMajority() || slices.Contains(h.waiting, s.ID) {
			return nil
		}
		return err
	})
	return items, err
}

// check reads all keys at a server, and reports whether it has answered.
func (h *harmCase) check(s *cluster.Server) (answered bool) {
	client := clientOf(h.t, s)
	keys := make([]string, 0, len(h.written))
	for key := range h.written {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for part := range slices.Chunk(keys, 50) {
		items, err := h.read(client, s, part)
		switch {
		case err != nil && !s.Running() && slices.Contains(h.harmed, s.ID):
			h.checkRefusal(s) // it has found its damage by now
			return answered
		case err != nil && h.isMajority() && !slices.Contains(h.waiting, s.ID):
			h.t.Errorf("get at server %d: %v", s.ID, err)
			return answered
		case err != nil:
			return answered // there is no majority
		}
		answered = true
		for _, key := range part {
			it, found := items[key]
			switch {
			case !found && h.isMajority() && slices.Contains(h.acked, key):
				h.t.Errorf("server %d has lost %s", s.ID, key)
			case found && string(it.Value) != h.written[key]:
				h.t.Errorf("server %d answers %s with %.80q", s.ID, key, it.Value)
			}
		}
	}
	return answered
}
