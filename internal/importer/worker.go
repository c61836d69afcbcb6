package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync/atomic"
	"time"
)

// relativeSecondsMax is memcached's REALTIME_MAXDELTA: a longer time to live is taken
// for a time of the clock.
const relativeSecondsMax = 60 * 60 * 24 * 30

// worker copies chunks of keys over two connections of its own.
type worker struct {
	im     *Import
	source *conn
	target *conn // nil: lost, or not needed yet
	to     int   // whose turn it is among Import.To

	requests []byte   // for the source
	pending  []stored // to be stored
	bytes    int      // of pending
}

// stored is one item on its way into the cluster.
type stored struct {
	key     []byte
	request []byte // one ms, and an md if it is stale
	answers int    // lines
}

func (w *worker) run(ctx context.Context, all *keys, next *atomic.Int64) (err error) {
	if w.source, err = dial(ctx, w.im.From, w.im.FromTLS, w.im.FromLogin); err != nil {
		return err
	}
	defer w.source.close()
	defer func() {
		if w.target != nil {
			w.target.close()
		}
	}()
	for {
		end := int(next.Add(chunkKeys))
		begin := end - chunkKeys
		if begin >= all.len() {
			return nil
		}
		if err := w.copy(ctx, all, begin, min(end, all.len())); err != nil {
			return err
		}
	}
}

// copy copies the items of some keys.
func (w *worker) copy(ctx context.Context, all *keys, begin, end int) error {
	w.requests = w.requests[:0]
	var asked [][]byte
	for i := begin; i < end; i++ {
		key := all.at(i)
		out, flags, ok := appendKey(append(w.requests, "mg "...), key)
		if !ok {
			w.im.progress.fail(key, "memcached's text protocol has no way to write this key")
			w.requests = out[:len(w.requests)]
			continue
		}
		w.requests = append(append(out, flags...), " v f t\r\n"...)
		asked = append(asked, key)
	}
	if err := w.source.send(w.requests); err != nil {
		return fmt.Errorf("ask %s for items: %w", w.im.From, err)
	}
	for _, key := range asked {
		if err := w.fetch(key); err != nil {
			return fmt.Errorf("read an item of %s: %w", w.im.From, err)
		}
		if w.bytes >= storeBytesTarget {
			if err := w.store(ctx); err != nil {
				return err
			}
		}
	}
	return w.store(ctx)
}

// fetch reads the answer to one mg.
func (w *worker) fetch(key []byte) error {
	if err := w.source.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	line, err := w.source.line()
	if err != nil {
		return err
	}
	fields := bytes.Fields(line)
	if len(fields) < 2 || string(fields[0]) != "VA" {
		if string(line) == "EN" {
			w.im.progress.gone.Add(1)
			return nil
		}
		w.im.progress.fail(key, string(line))
		return nil
	}
	size, err := strconv.Atoi(string(fields[1]))
	if err != nil || size < 0 {
		return fmt.Errorf("the line %q has no size", line)
	}
	item := fetched{key: key, flags: "0", seconds: -1}
	for _, f := range fields[2:] {
		switch f[0] {
		case 'f':
			item.flags = string(f[1:])
		case 't':
			if item.seconds, err = strconv.ParseInt(string(f[1:]), 10, 64); err != nil {
				return fmt.Errorf("the line %q has no time to live", line)
			}
		case 'X':
			item.stale = true
		}
	}
	item.value = make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(w.source.in, item.value); err != nil {
		return err
	}
	if item.seconds == 0 { // it expires within this second
		w.im.progress.gone.Add(1)
		return nil
	}
	s := item.store(time.Now())
	w.pending = append(w.pending, s)
	w.bytes += len(s.request)
	return nil
}

// fetched is an item of the memcached.
type fetched struct {
	key     []byte
	flags   string
	seconds int64 // left to live; -1: for ever
	stale   bool
	value   []byte // with its line end
}

// store returns the request that stores the item.
func (f *fetched) store(now time.Time) stored {
	ttl := ""
	switch {
	case f.seconds > relativeSecondsMax:
		ttl = " T" + strconv.FormatInt(min(now.Unix()+f.seconds, math.MaxInt32), 10)
	case f.seconds > 0:
		ttl = " T" + strconv.FormatInt(f.seconds, 10)
	}
	key, keyFlags, _ := appendKey(nil, f.key) // fetched by it
	request := fmt.Appendf(make([]byte, 0, len(key)+len(f.value)+64), "ms %s %d%s F%s%s\r\n", key, len(f.value)-len("\r\n"), keyFlags, f.flags, ttl)
	s := stored{key: f.key, request: append(request, f.value...), answers: 1}
	if f.stale {
		s.request = fmt.Appendf(s.request, "md %s%s I%s\r\n", key, keyFlags, ttl)
		s.answers++
	}
	return s
}

// store stores what is pending. What the cluster does not take for the moment, or
// what was on a connection that is lost, is sent again.
func (w *worker) store(ctx context.Context) error {
	giveUp := time.Now().Add(patience)
	for len(w.pending) > 0 {
		left, why := w.tryStore(ctx)
		w.pending = left
		if len(left) == 0 {
			break
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("the cluster has not stored an item for %v: %w", patience, why)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	w.pending, w.bytes = nil, 0
	return nil
}

// tryStore sends what is pending once, and returns what is left and why.
func (w *worker) tryStore(ctx context.Context) (left []stored, why error) {
	if w.target == nil {
		addr := w.im.To[w.to%len(w.im.To)]
		w.to++
		if w.target, why = dial(ctx, addr, w.im.ToTLS, w.im.ToLogin); why != nil {
			w.target = nil
			return w.pending, why
		}
	}
	for sent := 0; sent < len(w.pending); {
		var buf []byte
		from := sent
		for ; sent < len(w.pending) && len(buf) < storeBytesTarget; sent++ {
			buf = append(buf, w.pending[sent].request...)
		}
		err := w.target.send(buf)
		done := from
		for ; done < sent && err == nil; done++ {
			var again bool
			if again, err = w.answer(&w.pending[done]); err != nil {
				break
			}
			if again {
				left, why = append(left, w.pending[done]), errAgain
			}
		}
		if err != nil {
			w.target.close()
			w.target = nil
			return append(left, w.pending[done:]...), err
		}
	}
	return left, why
}

var errAgain = errors.New("it has no leader, or no majority")

// answer reads the answers to one item, and reports whether it is to be sent again.
func (w *worker) answer(s *stored) (again bool, err error) {
	refused := false
	for i := range s.answers {
		line, err := w.target.line()
		switch {
		case err != nil:
			return false, err
		case string(line) == "HD", i > 0 && string(line) == "NF": // it may be gone before it is marked
		case refusedForGood(line):
			if !refused {
				w.im.progress.fail(s.key, string(line))
			}
			refused = true
		default:
			again = true
		}
	}
	if !again && !refused {
		w.im.progress.stored.Add(1)
	}
	return again && !refused, nil
}

// refusedForGood reports whether the same request would be refused again.
func refusedForGood(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("SERVER_ERROR ")) {
		return true
	}
	return bytes.Contains(line, []byte("too large")) || bytes.Contains(line, []byte("out of memory"))
}
