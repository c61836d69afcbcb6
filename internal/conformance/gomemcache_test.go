package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// gomemcacheChecks is the number of checks that gomemcache makes.
const gomemcacheChecks = 24

// gomemcache uses everything that gomemcache can do, writing through one server and
// reading through another.
func gomemcache(addrs []string) (outcomes []outcome) {
	check := func(name string, ok bool) { outcomes = append(outcomes, outcome{name, ok}) }
	var clients []*memcache.Client
	for _, addr := range addrs {
		c := memcache.New(addr)
		c.Timeout = 30 * time.Second
		clients = append(clients, c)
		defer func() { _ = c.Close() }() // nothing is lost if it fails
	}
	one, two, three := clients[0], clients[1], clients[2]
	item := func(key, value string) *memcache.Item {
		return &memcache.Item{Key: key, Value: []byte(value), Flags: 9}
	}
	reads := func(c *memcache.Client, key, want string) bool {
		got, err := c.Get(key)
		return err == nil && string(got.Value) == want
	}

	check("Ping", one.Ping() == nil)
	check("FlushAll", one.FlushAll() == nil)
	check("Set", one.Set(item("k", "v")) == nil && reads(two, "k", "v"))
	check("Add", errors.Is(two.Add(item("k", "w")), memcache.ErrNotStored) && two.Add(item("new", "w")) == nil)
	check("Replace", errors.Is(three.Replace(item("none", "x")), memcache.ErrNotStored) && three.Replace(item("k", "x")) == nil)
	check("Append", one.Append(item("k", ">")) == nil && errors.Is(one.Append(item("none", ">")), memcache.ErrNotStored))
	check("Prepend", two.Prepend(item("k", "<")) == nil && reads(three, "k", "<x>"))

	got, err := three.Get("k")
	check("Get with flags", err == nil && got.Flags == 9)
	if err == nil {
		got.Value = []byte("w")
		check("CompareAndSwap", two.CompareAndSwap(got) == nil && reads(one, "k", "w"))
		check("CompareAndSwap again", errors.Is(one.CompareAndSwap(got), memcache.ErrCASConflict))
	}

	err = one.Set(item("n", "41"))
	n, errIncr := two.Increment("n", 1)
	check("Increment", err == nil && errIncr == nil && n == 42)
	n, err = three.Decrement("n", 50)
	check("Decrement", err == nil && n == 0)
	_, err = one.Increment("none", 1)
	check("Increment of nothing", errors.Is(err, memcache.ErrCacheMiss))
	_, err = one.Increment("k", 1)
	check("Increment of text", err != nil)

	check("Touch", one.Touch("k", 100) == nil && errors.Is(one.Touch("none", 100), memcache.ErrCacheMiss))
	got, err = two.GetAndTouch("k", 100)
	check("GetAndTouch", err == nil && string(got.Value) == "w")
	check("expired at once", one.Set(&memcache.Item{Key: "past", Value: []byte("v"), Expiration: -1}) == nil && missing(two, "past"))
	check("Delete", two.Delete("n") == nil && errors.Is(two.Delete("n"), memcache.ErrCacheMiss) && missing(one, "n"))

	var keys []string
	for i := range 200 {
		keys = append(keys, fmt.Sprint("key", i))
		err = errors.Join(err, one.Set(item(keys[i], keys[i])))
	}
	items, errMulti := two.GetMulti(append(keys, "none"))
	check("GetMulti", err == nil && errMulti == nil && len(items) == len(keys) && string(items["key7"].Value) == "key7")

	large := bytes.Repeat([]byte("x"), 1<<20-1024)
	check("large value", one.Set(item("large", string(large))) == nil && reads(two, "large", string(large)))
	check("too large a value", one.Set(item("large", string(large)+string(large[:2048]))) != nil)
	check("after too large a value", one.Set(item("k", "v")) == nil && reads(two, "k", "v"))
	check("empty value", one.Set(item("empty", "")) == nil && reads(two, "empty", ""))
	check("FlushAll of all", two.FlushAll() == nil && missing(three, "k"))
	return outcomes
}

func missing(c *memcache.Client, key string) bool {
	_, err := c.Get(key)
	return errors.Is(err, memcache.ErrCacheMiss)
}
