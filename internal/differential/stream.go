package main

import (
	"context"
	"fmt"
	"strings"
)

// difference is an answer that differs between the servers and that no rule explains.
type difference struct {
	stream  uint64
	batches []batch // up to the batch whose answers differ
	answers [2][]unit
	at      int // index in answers
}

// runner runs streams against two servers.
type runner struct {
	addrs [2]string // [1] is the real memcached
	real  [2]bool   // which of them is a real memcached
}

// replay sends batches to both servers and returns the first difference, or nil.
// The keys of the stream are removed before and after.
func (r *runner) replay(ctx context.Context, stream uint64, keys []string, batches []batch) (d *difference, err error) {
	var conns [2][protocols]*connection
	defer func() {
		for _, side := range conns {
			for _, c := range side {
				if c != nil {
					c.close()
				}
			}
		}
	}()
	open := func(p protocol) error {
		for side := range conns {
			if conns[side][p] == nil {
				var err error
				if conns[side][p], err = dial(ctx, r.addrs[side], p, endKey(stream)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := r.forget(ctx, stream, keys); err != nil {
		return nil, err
	}
	cmp := newComparer()
	for i, b := range batches {
		if err := open(b.protocol); err != nil {
			return nil, err
		}
		d := &difference{stream: stream, batches: batches[:i+1]}
		for side := range conns {
			units, err := conns[side][b.protocol].exchange(b.commands, cmp.seen[side])
			if err != nil {
				return nil, err
			}
			d.answers[side] = kept(units, r.real[side])
		}
		if d.at = cmp.firstDifference(d.answers[0], d.answers[1]); d.at >= 0 {
			return d, nil
		}
		if n := len(d.answers[0]); n > 0 && strings.HasPrefix(d.answers[0][n-1].line, "<") {
			break // both closed the connection, or both answer nothing
		}
	}
	return nil, r.forget(ctx, stream, keys)
}

// endKey returns the key of the item that marks the ends of a stream's batches.
func endKey(stream uint64) string { return fmt.Sprintf("%x:end", stream) }

// forget deletes the keys of a stream on both servers, so that a replay begins as the
// stream did, and a million requests do not fill the memory.
func (r *runner) forget(ctx context.Context, stream uint64, keys []string) error {
	var deletes []command
	for _, key := range keys {
		deletes = append(deletes, literal("delete %s noreply\r\n", key))
	}
	for _, addr := range r.addrs {
		c, err := dial(ctx, addr, textProtocol, endKey(stream))
		if err != nil {
			return err
		}
		_, err = c.exchange(deletes, nil)
		c.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// String returns what was sent and where the answers differ.
func (d *difference) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "stream %d:\n", d.stream)
	for i, b := range d.batches {
		for _, c := range b.commands {
			fmt.Fprintf(&out, "  batch %d %s: %s\n", i, [protocols]string{"text", "binary"}[b.protocol], &c)
		}
	}
	for side, name := range []string{"ours", "memcached"} {
		for i, u := range d.answers[side] {
			mark := " "
			if i == d.at {
				mark = ">"
			}
			fmt.Fprintf(&out, "%s %s: %s\n", mark, name, u)
		}
	}
	return out.String()
}
