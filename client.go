package raftcached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/internal/node"
	"raftcached/protocol"
)

// Errors of a Client. After ErrOutcomeUnknown a write may or may not have effect;
// after any other error it certainly has none.
var (
	// ErrCacheMiss: the item does not exist (NOT_FOUND, END).
	ErrCacheMiss = errors.New("cache miss")
	// ErrCASConflict: the item was changed since it was read (EXISTS).
	ErrCASConflict = errors.New("compare-and-swap conflict")
	// ErrNotStored: the condition of the operation did not hold (NOT_STORED).
	ErrNotStored = errors.New("item not stored")
	// ErrMalformedKey: a key has 1 to 250 bytes, without blanks and control
	// characters.
	ErrMalformedKey = errors.New("malformed: key is too long or contains invalid characters")
	// ErrNotNumber: only a decimal number of 64 bits can be incremented.
	ErrNotNumber = errors.New("cannot increment or decrement non-numeric value")
	// ErrTooLarge: the item exceeds Config.ItemBytesMax. A Set has then removed the
	// item that there was, as in memcached.
	ErrTooLarge = errors.New("object too large for cache")
	// ErrOutOfMemory: the memory is full, and Config.NoEvict forbids to evict, or too
	// few nodes have room on their disks. The write was not executed.
	ErrOutOfMemory = errors.New("out of memory storing object")
	// ErrFlushDisabled: Config.FlushDisabled is set.
	ErrFlushDisabled = errors.New("flush_all not allowed")

	// ErrNoLeader: no leader was found within Config.RequestTimeout.
	ErrNoLeader = errors.New("no leader")
	// ErrOutcomeUnknown: the write was sent to the cluster, and no answer came within
	// Config.RequestTimeout, or before the context ended or the node closed.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrReadTimeout: a read was not confirmed within Config.RequestTimeout.
	ErrReadTimeout = errors.New("timeout")
	// ErrRepairing: the state of this node differs from that of a majority, and is
	// being replaced.
	ErrRepairing = errors.New("state differs from the other servers, repairing")
	// ErrRestoring: a backup is being restored into the cluster, which takes no writes
	// until that is done. The write was not executed.
	ErrRestoring = errors.New("a backup is being restored")
	// ErrNoMajority: the servers' states differ, and no majority has one.
	ErrNoMajority = errors.New("the servers' states differ, no majority has one")
	// ErrRemoved: the node was removed from the cluster, or another data folder has its
	// place.
	ErrRemoved = errors.New("this server is no member of the cluster any more")

	// ErrMalformed: the leader could not read the operation, which a sound node does not
	// send. It was not executed.
	ErrMalformed = errors.New("malformed operation")
	// ErrDiskStalled: the node's disk does not answer. The write was not executed.
	ErrDiskStalled = errors.New("this server's disk does not answer, writes are refused")
	// ErrClosed: the node is closed.
	ErrClosed = node.ErrClosed
)

// Item is an item of the cache, in the form of gomemcache.
type Item struct {
	Key        string
	Value      []byte
	Flags      uint32 // for the client's use
	Expiration int32  // seconds: up to 30 days from now, or of Unix time; 0: never; below 0: expired. Not set by Get.
	CasID      uint64 // changes with the item; set by Get, used by CompareAndSwap
}

// Client is the cache as the process of a node uses it, without a socket. Its
// operations have the guarantees of those of network clients: a write that
// succeeds is on the disks of a majority and has effect once, and a read sees all
// writes that were acknowledged before, anywhere, unless Config.Reads says
// otherwise.
//
// Its methods may be called from any goroutine. They borrow the values of items
// until they return. If a context ends before an operation was begun, the error is
// the context's, and the operation has no effect; if it ends during a write, the
// error is ErrOutcomeUnknown and the context's.
//
// A few hundred operations can be in flight, further ones wait. The counts of
// commands that stats reports are those of network clients.
type Client struct{ inner *node.Client }

// Client returns the client of this node. It ends with the node.
func (n *Node) Client() *Client { return &Client{n.inner.Client()} }

// Get returns an item, or ErrCacheMiss.
func (c *Client) Get(ctx context.Context, key string) (*Item, error) {
	items, err := c.GetMulti(ctx, []string{key})
	if err != nil {
		return nil, err
	}
	item, found := items[key]
	if !found {
		return nil, ErrCacheMiss
	}
	return item, nil
}

// GetMulti returns those of the items that exist, by key. They are not a snapshot:
// each is as of a moment of its own.
func (c *Client) GetMulti(ctx context.Context, keys []string) (map[string]*Item, error) {
	keys = slices.Clone(keys) // the read may go on when ctx has ended and the caller has its keys back
	raw := make([][]byte, len(keys))
	for i, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		raw[i] = []byte(key)
	}
	items := make(map[string]*Item, len(keys))
	status, err := c.inner.Read(ctx, raw, func(i int, it engine.Item) {
		items[keys[i]] = &Item{Key: keys[i], Value: bytes.Clone(it.Value), Flags: it.Flags, CasID: it.CAS}
	})
	if err == nil {
		err = statusError(status)
	}
	if err != nil {
		return nil, err // without the items: they may still be added to
	}
	return items, nil
}

// Set writes an item, whether it exists or not.
func (c *Client) Set(ctx context.Context, item *Item) error { return c.store(ctx, protocol.Set, item) }

// Add writes an item, or returns ErrNotStored if it exists.
func (c *Client) Add(ctx context.Context, item *Item) error { return c.store(ctx, protocol.Add, item) }

// Replace writes an item, or returns ErrNotStored if it does not exist.
func (c *Client) Replace(ctx context.Context, item *Item) error {
	return c.store(ctx, protocol.Replace, item)
}

// Append adds to the end of an item's value, or returns ErrNotStored if it does not
// exist. Flags and Expiration are ignored.
func (c *Client) Append(ctx context.Context, item *Item) error {
	return c.store(ctx, protocol.Append, item)
}

// Prepend adds to the beginning of an item's value, or returns ErrNotStored if it
// does not exist. Flags and Expiration are ignored.
func (c *Client) Prepend(ctx context.Context, item *Item) error {
	return c.store(ctx, protocol.Prepend, item)
}

// CompareAndSwap writes an item that Get returned, if it was not changed since. It
// returns ErrCASConflict if it was, and ErrCacheMiss if it is gone.
func (c *Client) CompareAndSwap(ctx context.Context, item *Item) error {
	return c.store(ctx, protocol.CAS, item)
}

// Delete removes an item, or returns ErrCacheMiss.
func (c *Client) Delete(ctx context.Context, key string) error {
	_, err := c.write(ctx, protocol.Request{Command: protocol.Delete}, key)
	return err
}

// Increment adds to a decimal number and returns the new one, modulo 2^64.
func (c *Client) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	r, err := c.write(ctx, protocol.Request{Command: protocol.Incr, Delta: delta}, key)
	return r.Number, err
}

// Decrement subtracts from a decimal number and returns the new one, at least 0.
func (c *Client) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	r, err := c.write(ctx, protocol.Request{Command: protocol.Decr, Delta: delta}, key)
	return r.Number, err
}

// Touch changes when an item expires, or returns ErrCacheMiss. For seconds see
// Item.Expiration.
func (c *Client) Touch(ctx context.Context, key string, seconds int32) error {
	_, err := c.write(ctx, protocol.Request{Command: protocol.Touch, Exptime: int64(seconds)}, key)
	return err
}

// GetAndTouch changes when an item expires and returns it, or ErrCacheMiss.
func (c *Client) GetAndTouch(ctx context.Context, key string, seconds int32) (*Item, error) {
	r, err := c.write(ctx, protocol.Request{Command: protocol.Gats, Exptime: int64(seconds), Keys: [][]byte{[]byte(key)}}, key)
	if err != nil {
		return nil, err
	}
	return &Item{Key: key, Value: r.Value, Flags: r.Flags, CasID: r.CAS}, nil
}

// FlushAll removes all items, on all nodes.
func (c *Client) FlushAll(ctx context.Context) error {
	if c.inner.FlushDisabled() {
		return ErrFlushDisabled
	}
	_, err := c.do(ctx, protocol.Request{Command: protocol.FlushAll})
	return err
}

func (c *Client) store(ctx context.Context, command protocol.Command, item *Item) error {
	_, err := c.write(ctx, protocol.Request{
		Command: command, Value: item.Value, Flags: item.Flags, Exptime: int64(item.Expiration), CAS: item.CasID,
	}, item.Key)
	return err
}

// write executes a write for one key.
func (c *Client) write(ctx context.Context, req protocol.Request, key string) (protocol.Result, error) {
	if err := checkKey(key); err != nil {
		return protocol.Result{}, err
	}
	req.Key = []byte(key)
	return c.do(ctx, req)
}

func (c *Client) do(ctx context.Context, req protocol.Request) (protocol.Result, error) {
	r, err := c.inner.Write(ctx, req)
	switch {
	case err != nil && r.Status == protocol.StatusOutcomeUnknown:
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	case err == nil:
		err = statusError(r.Status)
	}
	return r, err
}

// statusErrors maps the outcomes that are not what was asked for.
var statusErrors = map[protocol.Status]error{
	protocol.StatusNotStored: ErrNotStored, protocol.StatusExists: ErrCASConflict,
	protocol.StatusNotFound: ErrCacheMiss, protocol.StatusMiss: ErrCacheMiss,
	protocol.StatusNonNumeric: ErrNotNumber, protocol.StatusTooLarge: ErrTooLarge, protocol.StatusOutOfMemory: ErrOutOfMemory,
	protocol.StatusNoLeader: ErrNoLeader, protocol.StatusOutcomeUnknown: ErrOutcomeUnknown, protocol.StatusTimeout: ErrReadTimeout,
	protocol.StatusRepairing: ErrRepairing, protocol.StatusNoMajority: ErrNoMajority, protocol.StatusRemoved: ErrRemoved,
	protocol.StatusFilling:     ErrRestoring,
	protocol.StatusMalformed:   ErrMalformed,
	protocol.StatusDiskStalled: ErrDiskStalled,
}

func statusError(s protocol.Status) error { return statusErrors[s] }

// checkKey holds keys to what the text protocol allows, so that its clients find
// the items.
func checkKey(key string) error {
	if key == "" || len(key) > item.KeyBytesMax {
		return ErrMalformedKey
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] == 0x7f {
			return ErrMalformedKey
		}
	}
	return nil
}
