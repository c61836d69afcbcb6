package importer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// workersDefault is how many connections there are to each side: enough that
	// neither waits for the other.
	workersDefault = 4

	// chunkKeys is how many items a worker asks for at a time.
	chunkKeys = 256

	// storeBytesTarget is about how much is stored at a time.
	storeBytesTarget = 1 << 20

	// patience is how long the cluster may refuse the same items, for want of a
	// leader, before the import gives up: many elections.
	patience = 30 * time.Second

	retryPause = 100 * time.Millisecond
)

// Login is a user and a password; the zero value logs nobody in.
type Login struct{ User, Password []byte }

// Import is one copy. Set the fields, then call Run once.
type Import struct {
	From      string      // host:port of the memcached
	FromTLS   *tls.Config // nil: it serves without. The ServerName is set to the host
	FromLogin Login

	To      []string    // host:port of the servers of the cluster; one is enough
	ToTLS   *tls.Config // likewise
	ToLogin Login

	progress progress
}

// progress counts what was done.
type progress struct {
	listed, stored, gone, failed atomic.Int64
	copying                      atomic.Bool

	mu      sync.Mutex
	failure string // the first one
}

// Progress is how far an import is. At its end Listed is the sum of the others.
type Progress struct {
	Copying bool  // the keys are listed
	Listed  int64 // keys that memcached has named
	Stored  int64 // items that the cluster has acknowledged
	Gone    int64 // expired, evicted or deleted since they were listed
	Failed  int64 // items that the cluster, or memcached, has refused

	Failure string // why the first one failed
}

// Progress returns how far the import is. Any goroutine may call it.
func (im *Import) Progress() Progress {
	p := &im.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	return Progress{
		Copying: p.copying.Load(), Listed: p.listed.Load(), Stored: p.stored.Load(), Gone: p.gone.Load(), Failed: p.failed.Load(),
		Failure: p.failure,
	}
}

// fail counts an item that was refused.
func (p *progress) fail(key []byte, why string) {
	p.failed.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure == "" {
		p.failure = fmt.Sprintf("%q: %s", key, why)
	}
}

// Run copies everything, and returns when that is done or cannot go on. Items that
// were refused are no error: Progress counts them.
func (im *Import) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := im.greet(ctx); err != nil {
		return err
	}
	all, err := im.list(ctx)
	if err != nil {
		return err
	}
	im.progress.copying.Store(true)
	var (
		next    atomic.Int64
		working sync.WaitGroup
	)
	for i := range workersDefault {
		w := &worker{im: im, to: i}
		working.Go(func() {
			if err := w.run(ctx, all, &next); err != nil {
				cancel(err)
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// greet asks whether a server of the cluster answers at all: what is wrong with TLS or the
// login is no reason to wait.
func (im *Import) greet(ctx context.Context) (err error) {
	for _, addr := range im.To {
		var c *conn
		if c, err = dial(ctx, addr, im.ToTLS, im.ToLogin); err != nil {
			continue
		}
		_, err = c.ask([]byte("version\r\n"))
		c.close()
		if err == nil {
			return nil
		}
		err = fmt.Errorf("ask %s for its version: %w", addr, hinted(err, im.ToTLS))
	}
	return err
}

// hinted is an error of who speaks first, with what it may mean.
func hinted(err error, secure *tls.Config) error {
	if secure == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		return fmt.Errorf("it closed the connection, as a server with TLS does for who has none: %w", err)
	}
	return err
}

// list learns all keys.
func (im *Import) list(ctx context.Context) (*keys, error) {
	c, err := dial(ctx, im.From, im.FromTLS, im.FromLogin)
	if err != nil {
		return nil, err
	}
	defer c.close()
	all, err := im.listAll(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("list the keys of %s: %w", im.From, hinted(err, im.FromTLS))
	}
	return all, nil
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(retryPause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
