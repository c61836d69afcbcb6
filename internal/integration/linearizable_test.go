package integration

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestLinearizable lets clients at all servers set, append, delete and read a few
// keys while servers are killed, stopped and cut off. Then porcupine searches for an
// order of all operations that explains every answer. There is none if an append took
// effect twice, a read was stale or a write was lost.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	const clientsPerServer = 2
	ctx, c := startCluster(t, cluster.Options{Network: true, Settings: impatient()})
	h := &history{start: time.Now(), seed: rand.Uint64()}
	t.Logf("seed %d", h.seed)
	stop := h.driveAll(t, slices.Repeat(c.ClientAddrs(), clientsPerServer))
	defer stop()

	for _, fault := range []func(s *cluster.Server) (mend func() error, err error){
		func(s *cluster.Server) (func() error, error) { return s.Start, s.Kill() },
		func(s *cluster.Server) (func() error, error) { return s.Resume, s.Pause() },
		func(s *cluster.Server) (func() error, error) {
			c.Isolate(s.ID)
			return func() error { c.Mend(); return nil }, nil
		},
	} {
		leader, err := c.AwaitLeader(ctx)
		must(t, err)
		for _, victim := range []*cluster.Server{leader, followersOf(c, leader)[0]} {
			h.awaitOperations(t, 150)
			mend, err := fault(victim)
			must(t, err)
			h.awaitOperations(t, 150)
			must(t, mend())
			must(t, c.AwaitReady(ctx))
		}
	}
	h.awaitOperations(t, 150)
	stop()
	h.check(t)
}

// keys is how many keys the operations use: few, so that operations conflict. The checker
// works on each by itself, the longer the more operations of unknown outcome it has.
const keys = 4

// input is what a client requested.
type input struct {
	kind  string // set, append, delete, get, gat
	key   string
	value string
}

// reads reports whether it changes no value.
func (in input) reads() bool { return in.kind == "get" || in.kind == "gat" }

// output is the answer; unknown: the outcome is not certain.
type output struct {
	unknown bool
	found   bool
	value   string
}

// cacheModel is one item: its value, or no item.
var cacheModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := inputOf(op.Input).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return output{} },
	Step: func(state, in, out any) (bool, any) {
		item, asked, told := outputOf(state), inputOf(in), outputOf(out)
		next, answer := item, output{found: item.found}
		switch {
		case asked.kind == "set":
			next, answer = output{found: true, value: asked.value}, output{found: true}
		case asked.kind == "append" && item.found:
			next.value += asked.value
		case asked.kind == "delete":
			next = output{}
		case asked.reads():
			answer.value = item.value
		}
		return told.unknown || told == answer, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
}

func inputOf(v any) input {
	in, _ := v.(input)
	return in
}

func outputOf(v any) output {
	out, _ := v.(output)
	return out
}

// history collects the operations of all clients.
type history struct {
	start time.Time
	seed  uint64
	name  string        // begins the keys
	keys  int           // 0: as many as keys says
	pace  time.Duration // 0: as pace says
	stop  atomic.Bool

	mu         sync.Mutex
	operations []porcupine.Operation
}

// driveAll runs one client at each address, and one for pipelines, until it is stopped.
func (h *history) driveAll(t *testing.T, addrs []string) (stop func()) {
	t.Helper()
	var wait sync.WaitGroup
	for i, addr := range addrs {
		client := memcache.New(addr)
		client.Timeout = clientTimeout
		wait.Go(func() {
			h.drive(i, client)
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Go(func() { h.pipe(t, len(addrs), addrs) })
	return func() {
		h.stop.Store(true)
		wait.Wait()
	}
}

// check has porcupine look for an order of all operations that explains the answers.
func (h *history) check(t *testing.T) {
	t.Helper()
	t.Logf("%d operations, %d of unknown outcome", len(h.operations), h.unknown())
	if result := h.judge(); result != porcupine.Ok {
		t.Errorf("history of %d operations: %s, want an order that explains it", len(h.operations), result)
	}
}

// judgeMax bounds the checker. It takes milliseconds, unless many outcomes are unknown.
const judgeMax = 5 * time.Minute

func (h *history) judge() porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(cacheModel, h.observable(), judgeMax)
}

// unknown returns how many operations have an unknown outcome.
func (h *history) unknown() (count int) {
	for _, op := range h.operations {
		if outputOf(op.Output).unknown {
			count++
		}
	}
	return count
}

// observable leaves out appends of unknown outcome that nobody has seen: each would
// double the checker's work. They change no answer: if one took effect, the item was
// replaced or deleted before it was read again.
func (h *history) observable() []porcupine.Operation {
	seen := map[string]bool{}
	for _, op := range h.operations {
		for token := range strings.FieldsSeq(outputOf(op.Output).value) {
			seen[token] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(h.operations), func(op porcupine.Operation) bool {
		in := inputOf(op.Input)
		return in.kind == "append" && outputOf(op.Output).unknown && !seen[strings.TrimSpace(in.value)]
	})
}

// pace is the time between two operations of one client. The checker's work
// grows with their number, and the faults take seconds.
const pace = 5 * time.Millisecond

// drive runs one client until the history is stopped.
func (h *history) drive(id int, client *memcache.Client) {
	random := rand.New(rand.NewPCG(h.seed, uint64(id)))
	ticker := time.NewTicker(cmp.Or(h.pace, pace))
	defer ticker.Stop()
	for n := 0; !h.stop.Load(); n++ {
		<-ticker.C
		in := input{
			kind:  []string{"set", "append", "append", "delete", "get", "get", "gat"}[random.IntN(7)],
			key:   fmt.Sprintf("%skey-%d", h.name, random.IntN(cmp.Or(h.keys, keys))),
			value: fmt.Sprintf("%d.%d ", id, n),
		}
		call := time.Since(h.start)
		out, certain, err := ask(client, in)
		done := time.Since(h.start)
		if err != nil && (in.reads() || certain) {
			continue // it had no effect and revealed nothing
		}
		if err != nil {
			out, done = output{unknown: true}, math.MaxInt64 // it may take effect at any time
		}
		h.mu.Lock()
		h.operations = append(h.operations, porcupine.Operation{
			ClientId: id, Input: in, Call: int64(call), Output: out, Return: int64(done),
		})
		h.mu.Unlock()
	}
}

// ask executes one operation. certain: it failed and has no effect.
func ask(client *memcache.Client, in input) (out output, certain bool, err error) {
	item := &memcache.Item{Key: in.key, Value: []byte(in.value)}
	switch in.kind {
	case "set":
		err = client.Set(item)
	case "append":
		err = client.Append(item)
	case "delete":
		err = client.Delete(in.key)
	case "get", "gat":
		read := client.Get
		if in.kind == "gat" {
			read = func(key string) (*memcache.Item, error) { return client.GetAndTouch(key, 0) }
		}
		var got *memcache.Item
		if got, err = read(in.key); err == nil {
			out.value = string(got.Value)
		}
	}
	if errors.Is(err, memcache.ErrNotStored) || errors.Is(err, memcache.ErrCacheMiss) {
		return output{}, false, nil
	}
	out.found = err == nil
	return out, hasNoEffect(err), err
}

// hasNoEffect reports whether an error says that the operation was certainly not
// executed. Each operation that may have been doubles the checker's work.
func hasNoEffect(err error) bool {
	var network *net.OpError
	return err != nil && (strings.Contains(err.Error(), "SERVER_ERROR no leader") ||
		errors.As(err, &network) && network.Op == "dial")
}

// awaitOperations waits until n more operations were answered.
func (h *history) awaitOperations(t *testing.T, n int) {
	t.Helper()
	want := h.count() + n
	must(t, cluster.Await(t.Context(), func() error {
		if got := h.count(); got < want {
			return fmt.Errorf("%d operations of %d", got, want)
		}
		return nil
	}))
}

// count returns how many operations were answered.
func (h *history) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.operations)
}
