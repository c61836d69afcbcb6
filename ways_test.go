package raftcached_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"raftcached"

	"github.com/bradfitz/gomemcache/memcache"
)

// cache is what the two ways to a node have in common. Outcomes are texts, so that
// they can be compared.
type cache interface {
	store(how string, key, value string, flags uint32, expiration int32) string
	get(keys ...string) string
	getAndTouch(key string, seconds int32) string
	swap(key, value string, between func()) string // gets, and writes after between
	other(how string, key string, n uint64) string
}

// inProcess is a cache by the client of a node.
type inProcess struct {
	ctx context.Context
	c   *raftcached.Client
}

func (p inProcess) store(how, key, value string, flags uint32, expiration int32) string {
	item := &raftcached.Item{Key: key, Value: []byte(value), Flags: flags, Expiration: expiration}
	return outcome(map[string]func(context.Context, *raftcached.Item) error{
		"set": p.c.Set, "add": p.c.Add, "replace": p.c.Replace, "append": p.c.Append, "prepend": p.c.Prepend,
	}[how](p.ctx, item))
}

func (p inProcess) get(keys ...string) string {
	if len(keys) == 1 {
		item, err := p.c.Get(p.ctx, keys[0])
		if err != nil {
			return outcome(err)
		}
		return itemText(item.Key, item.Value, item.Flags)
	}
	items, err := p.c.GetMulti(p.ctx, keys)
	var texts []string
	for _, item := range items {
		texts = append(texts, itemText(item.Key, item.Value, item.Flags))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ") + outcome(err)
}

func (p inProcess) getAndTouch(key string, seconds int32) string {
	item, err := p.c.GetAndTouch(p.ctx, key, seconds)
	if err != nil {
		return outcome(err)
	}
	return itemText(item.Key, item.Value, item.Flags)
}

func (p inProcess) swap(key, value string, between func()) string {
	item, err := p.c.Get(p.ctx, key)
	if err != nil {
		return outcome(err)
	}
	between()
	item.Value = []byte(value)
	return outcome(p.c.CompareAndSwap(p.ctx, item))
}

func (p inProcess) other(how, key string, n uint64) string {
	switch how {
	case "delete":
		return outcome(p.c.Delete(p.ctx, key))
	case "touch":
		return outcome(p.c.Touch(p.ctx, key, int32(n)))
	case "flush":
		return outcome(p.c.FlushAll(p.ctx))
	case "incr":
		return number(p.c.Increment(p.ctx, key, n))
	}
	return number(p.c.Decrement(p.ctx, key, n))
}

// bySocket is a cache by other people's client.
type bySocket struct{ c *memcache.Client }

func (s bySocket) store(how, key, value string, flags uint32, expiration int32) string {
	item := &memcache.Item{Key: key, Value: []byte(value), Flags: flags, Expiration: expiration}
	return outcome(map[string]func(*memcache.Item) error{
		"set": s.c.Set, "add": s.c.Add, "replace": s.c.Replace, "append": s.c.Append, "prepend": s.c.Prepend,
	}[how](item))
}

func (s bySocket) get(keys ...string) string {
	if len(keys) == 1 {
		item, err := s.c.Get(keys[0])
		if err != nil {
			return outcome(err)
		}
		return itemText(item.Key, item.Value, item.Flags)
	}
	items, err := s.c.GetMulti(keys)
	var texts []string
	for _, item := range items {
		texts = append(texts, itemText(item.Key, item.Value, item.Flags))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ") + outcome(err)
}

func (s bySocket) getAndTouch(key string, seconds int32) string {
	item, err := s.c.GetAndTouch(key, seconds)
	if err != nil {
		return outcome(err)
	}
	return itemText(item.Key, item.Value, item.Flags)
}

func (s bySocket) swap(key, value string, between func()) string {
	item, err := s.c.Get(key)
	if err != nil {
		return outcome(err)
	}
	between()
	item.Value = []byte(value)
	return outcome(s.c.CompareAndSwap(item))
}

func (s bySocket) other(how, key string, n uint64) string {
	switch how {
	case "delete":
		return outcome(s.c.Delete(key))
	case "touch":
		return outcome(s.c.Touch(key, int32(n)))
	case "flush":
		return outcome(s.c.FlushAll())
	case "incr":
		return number(s.c.Increment(key, n))
	}
	return number(s.c.Decrement(key, n))
}

func itemText(key string, value []byte, flags uint32) string {
	if len(value) > 50 {
		return fmt.Sprintf("%s=<%d bytes> flags %d", key, len(value), flags)
	}
	return fmt.Sprintf("%s=%q flags %d", key, value, flags)
}

func number(n uint64, err error) string {
	if err != nil {
		return outcome(err)
	}
	return fmt.Sprint(n)
}

// outcome names an error; both clients' mean the same by it.
func outcome(err error) string {
	for name, both := range map[string][]error{
		"miss":       {raftcached.ErrCacheMiss, memcache.ErrCacheMiss},
		"conflict":   {raftcached.ErrCASConflict, memcache.ErrCASConflict},
		"not stored": {raftcached.ErrNotStored, memcache.ErrNotStored},
		"malformed":  {raftcached.ErrMalformedKey, memcache.ErrMalformedKey},
	} {
		if errors.Is(err, both[0]) || errors.Is(err, both[1]) {
			return name
		}
	}
	if err == nil {
		return "ok"
	}
	for _, known := range []error{raftcached.ErrNotNumber, raftcached.ErrTooLarge, raftcached.ErrOutOfMemory} {
		if errors.Is(err, known) || strings.Contains(err.Error(), known.Error()) {
			return known.Error() // gomemcache has only the text
		}
	}
	return "unexpected: " + err.Error()
}
