package integration

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestCASRaces: clients at all servers read a number and store the next one with cas.
// If two clients won with the same cas unique, the number would be less than the
// number of wins.
func TestCASRaces(t *testing.T) {
	t.Parallel()
	const perServer, wins = 4, 25
	_, c := startCluster(t, cluster.Options{})
	clients := clientsOf(t, c)
	must(t, clients[0].Set(&memcache.Item{Key: "number", Value: []byte("0")}))
	var conflicts atomic.Int64
	var wait sync.WaitGroup
	for _, client := range clients {
		for range perServer {
			wait.Go(func() {
				for won := 0; won < wins; {
					item, err := client.Get("number")
					if err != nil {
						t.Error(err)
						return
					}
					n, _ := strconv.Atoi(string(item.Value))
					item.Value = strconv.AppendInt(nil, int64(n+1), 10)
					switch err = client.CompareAndSwap(item); {
					case err == nil:
						won++
					case errors.Is(err, memcache.ErrCASConflict):
						conflicts.Add(1)
					default:
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
	wantEverywhere(t, clients, "number", strconv.Itoa(len(clients)*perServer*wins))
	if conflicts.Load() == 0 {
		t.Error("no swap met a conflict: the clients did not race")
	}
}

// TestConcurrentIncr: increments from all servers add up exactly, and no two get the
// same answer.
func TestConcurrentIncr(t *testing.T) {
	t.Parallel()
	const perServer, increments = 4, 100
	_, c := startCluster(t, cluster.Options{})
	clients := clientsOf(t, c)
	must(t, clients[0].Set(&memcache.Item{Key: "sum", Value: []byte("0")}))
	total := len(clients) * perServer * increments
	seen := make([]atomic.Int32, total+1)
	var wait sync.WaitGroup
	for _, client := range clients {
		for range perServer {
			wait.Go(func() {
				for range increments {
					n, err := client.Increment("sum", 1)
					if err != nil || n < 1 || n > uint64(total) {
						t.Errorf("incr: %d, %v", n, err)
						return
					}
					if seen[n].Add(1) > 1 {
						t.Errorf("%d was answered twice", n)
					}
				}
			})
		}
	}
	wait.Wait()
	wantEverywhere(t, clients, "sum", strconv.Itoa(total))
}
