//go:build linux

package footprint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// burstTimeout bounds a burst and its answers.
const burstTimeout = time.Minute

// burstBytesMax ends a burst early, so that big values do not add up.
const burstBytesMax = 1 << 20

// Pressure is how a load is sent to servers.
type Pressure struct {
	Addrs      []string // host:port each; connections are distributed over them
	Conns      int
	Depth      int // requests in a burst, at most
	LimitBytes int64
	Seed       uint64
}

// Answers counts what the servers answered.
type Answers struct {
	Requests   int64
	Errors     int64
	FirstError string
}

// Drive sends a load to servers until the context ends, which is not an error. Each
// connection sends a burst, waits for its answers, and sends the next one. progress
// returns how far the measurement is.
func Drive(ctx context.Context, l Load, p Pressure, progress func() float64) (Answers, error) {
	d := &driver{load: l, pressure: p, progress: progress}
	// A connection that fails ends the others.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, p.Conns)
	var wait sync.WaitGroup
	for i := range p.Conns {
		wait.Go(func() {
			if errs[i] = d.connection(ctx, i); errs[i] != nil {
				cancel()
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return Answers{}, fmt.Errorf("drive %q: %w", l.Name, err)
	}
	a := Answers{Requests: d.requests.Load(), Errors: d.errors.Load()}
	if first := d.firstError.Load(); first != nil {
		a.FirstError = *first
	}
	return a, nil
}

// driver is what the connections of a load share.
type driver struct {
	load       Load
	pressure   Pressure
	progress   func() float64
	requests   atomic.Int64
	errors     atomic.Int64
	firstError atomic.Pointer[string]
}

func (d *driver) connection(ctx context.Context, i int) error {
	dialer := net.Dialer{Timeout: burstTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", d.pressure.Addrs[i%len(d.pressure.Addrs)])
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is left to read or write
	requester := newRequester(d.pressure.Seed, uint64(i), d.pressure.LimitBytes)
	answers := bufio.NewReader(conn)
	var burst []byte
	for ctx.Err() == nil {
		n := 0
		for burst = burst[:0]; n < d.pressure.Depth && len(burst) < burstBytesMax; n++ {
			burst = d.load.appendRequest(burst, requester, d.progress())
		}
		if err := conn.SetDeadline(time.Now().Add(burstTimeout)); err != nil {
			return err
		}
		if _, err := conn.Write(burst); err != nil {
			return fmt.Errorf("write %d requests: %w", n, err)
		}
		for range n {
			line, err := answers.ReadString('\n')
			if err != nil {
				return fmt.Errorf("read answers to %d requests: %w", n, err)
			}
			d.count(strings.TrimSpace(line))
		}
	}
	return nil
}

// count counts one answer.
func (d *driver) count(answer string) {
	d.requests.Add(1)
	switch answer {
	case "STORED", "DELETED", "TOUCHED", "NOT_FOUND":
	default:
		d.errors.Add(1)
		d.firstError.CompareAndSwap(nil, &answer)
	}
}
