package integration

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// load is a set of workers that write without pause while servers are broken, and
// remember the answers. A worker uses the next server when a request fails.
type load struct {
	workers []*worker
	acked   atomic.Int64 // writes acknowledged so far, by all workers
	stop    atomic.Bool
	wait    sync.WaitGroup
}

// worker writes keys that nobody else writes.
type worker struct {
	id      int
	clients []*memcache.Client
	at      int // the client in use

	attempts int             // numbers the writes
	unique   map[string]bool // keys that were set once, acknowledged
	last     string          // the last acknowledged value of the key that is set repeatedly
	unknown  map[string]bool // values of that key whose outcome is unknown, since last

	incrAcked   int // increments acknowledged
	incrUnknown int
	incrLast    uint64 // the last answer
	wrong       error  // an answer that is certainly wrong
}

// startLoad starts perServer workers at each server.
func startLoad(t *testing.T, c *cluster.Cluster, perServer int) *load {
	t.Helper()
	l := &load{}
	clients := clientsOf(t, c)
	for i := range perServer * len(clients) {
		w := &worker{
			id: i, clients: clients, at: i % len(clients),
			unique: map[string]bool{}, unknown: map[string]bool{},
		}
		setUntilStored(t, clients[0], w.counter(), "0")
		l.workers = append(l.workers, w)
		l.wait.Go(func() {
			for !l.stop.Load() && w.wrong == nil {
				w.step(l)
			}
		})
	}
	return l
}

func (w *worker) counter() string { return fmt.Sprintf("counter-%d", w.id) }
func (w *worker) again() string   { return fmt.Sprintf("again-%d", w.id) }

// step writes once.
func (w *worker) step(l *load) {
	w.attempts++
	client := w.clients[w.at]
	var err error
	switch w.attempts % 3 {
	case 0:
		key := fmt.Sprintf("unique-%d-%d", w.id, w.attempts)
		if err = client.Set(&memcache.Item{Key: key, Value: []byte(key)}); err == nil {
			w.unique[key] = true
		}
	case 1:
		value := strconv.Itoa(w.attempts)
		if err = client.Set(&memcache.Item{Key: w.again(), Value: []byte(value)}); err == nil {
			w.last = value
			// A write that was given up may still take effect after this one.
		} else {
			w.unknown[value] = true
		}
	case 2:
		err = w.incr(client)
	}
	if err != nil {
		w.at = (w.at + 1) % len(w.clients)
		return
	}
	l.acked.Add(1)
}

// incr increments by one. Nobody else increments this key, so each answer exceeds the
// last one by 1, and by at most one more for each increment whose outcome is
// unknown.
func (w *worker) incr(client *memcache.Client) error {
	n, err := client.Increment(w.counter(), 1)
	if errors.Is(err, memcache.ErrCacheMiss) {
		w.wrong = fmt.Errorf("counter %q is gone", w.counter())
		return err
	}
	if err != nil {
		w.incrUnknown++
		return err
	}
	w.incrAcked++
	if n <= w.incrLast || n > uint64(w.incrAcked+w.incrUnknown) {
		w.wrong = fmt.Errorf("counter %q: %d after %d, with %d increments acknowledged and %d unknown",
			w.counter(), n, w.incrLast, w.incrAcked, w.incrUnknown)
	}
	w.incrLast = n
	return nil
}

// awaitProgress waits until n more writes are acknowledged.
func (l *load) awaitProgress(t *testing.T, n int64) {
	t.Helper()
	want := l.acked.Load() + n
	if err := cluster.Await(t.Context(), func() error {
		if got := l.acked.Load(); got < want {
			return fmt.Errorf("%d writes of %d acknowledged", got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// finish stops the workers.
func (l *load) finish() {
	l.stop.Store(true)
	l.wait.Wait()
}

// check reads everything that was acknowledged from one server.
func (l *load) check(t *testing.T, client *memcache.Client) {
	t.Helper()
	for _, w := range l.workers {
		if w.wrong != nil {
			t.Errorf("worker %d: %v", w.id, w.wrong)
			continue
		}
		w.checkUnique(t, client)
		item, err := client.Get(w.again())
		if w.last != "" && (err != nil || string(item.Value) != w.last && !w.unknown[string(item.Value)]) {
			t.Errorf("key %q is %v, %v; want %q, or one of %d unknown outcomes", w.again(), item, err, w.last, len(w.unknown))
		}
		item, err = client.Get(w.counter())
		if err != nil {
			t.Errorf("counter %q: %v", w.counter(), err)
			continue
		}
		n, err := strconv.Atoi(string(item.Value))
		if err != nil || n < w.incrAcked || n > w.incrAcked+w.incrUnknown {
			t.Errorf("counter %q is %q with %d increments acknowledged and %d unknown", w.counter(), item.Value, w.incrAcked, w.incrUnknown)
		}
	}
}

func (w *worker) checkUnique(t *testing.T, client *memcache.Client) {
	t.Helper()
	var keys []string
	for key := range w.unique {
		keys = append(keys, key)
	}
	items, err := client.GetMulti(keys)
	if err != nil {
		t.Errorf("get %d keys: %v", len(keys), err)
		return
	}
	lost := 0
	for _, key := range keys {
		if items[key] == nil || string(items[key].Value) != key {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("worker %d: %d of %d acknowledged writes are lost", w.id, lost, len(keys))
	}
}
