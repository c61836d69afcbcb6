package importer

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"net/url"
	"sync/atomic"
	"time"
)

// keyBytesMax is KEY_MAX_LENGTH of memcached. It holds for a key as it is written.
const keyBytesMax = 250

// passesMax bounds how often the keys are listed. New ones come to light every time
// while clients store new items.
const passesMax = 5

// keys are many keys, each once, in one piece of memory.
type keys struct {
	text  []byte
	ends  []int
	seen  map[[2]uint64]struct{} // by two hashes: it is smaller than the keys
	seeds [2]maphash.Seed
}

func newKeys() *keys {
	return &keys{seen: map[[2]uint64]struct{}{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// add adds a key, unless it is there.
func (k *keys) add(key []byte) {
	h := [2]uint64{maphash.Bytes(k.seeds[0], key), maphash.Bytes(k.seeds[1], key)}
	if _, known := k.seen[h]; known {
		return
	}
	k.seen[h] = struct{}{}
	k.text = append(k.text, key...)
	k.ends = append(k.ends, len(k.text))
}

func (k *keys) len() int { return len(k.ends) }

func (k *keys) at(i int) []byte {
	begin := 0
	if i > 0 {
		begin = k.ends[i-1]
	}
	return k.text[begin:k.ends[i]]
}

var (
	errBusy    = errors.New("memcached is busy with another crawl")
	errRefused = errors.New("memcached refuses lru_crawler metadump")
)

// listAll lists the keys of a memcached until nothing comes to light any more. A walk
// through the queues of memcached misses what another thread has locked, or moves to
// a queue that was walked; one through its hash table is refused while that grows,
// and by old versions.
func (im *Import) listAll(ctx context.Context, c *conn) (*keys, error) {
	all := newKeys()
	for pass := range passesMax {
		before := all.len()
		err := im.dump(ctx, c, "all", all)
		if err == nil {
			if err = im.dump(ctx, c, "hash", all); errors.Is(err, errRefused) {
				err = nil
			}
		}
		if err != nil {
			return nil, err
		}
		if pass > 0 && all.len() == before {
			break
		}
	}
	return all, nil
}

// dump adds the keys that one walk finds. While another walk is on it waits.
func (im *Import) dump(ctx context.Context, c *conn, what string, all *keys) error {
	for giveUp := time.Now().Add(patience); ; {
		err := c.dump(what, all, &im.progress.listed)
		if !errors.Is(err, errBusy) || time.Now().After(giveUp) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (c *conn) dump(what string, all *keys, count *atomic.Int64) error {
	if err := c.send([]byte("lru_crawler metadump " + what + "\r\n")); err != nil {
		return err
	}
	for {
		if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		line, err := c.line()
		if err != nil {
			return err
		}
		rest, isKey := bytes.CutPrefix(line, []byte("key="))
		switch {
		case isKey:
			encoded, _, _ := bytes.Cut(rest, []byte{' '})
			key, err := url.PathUnescape(string(encoded))
			if err != nil || len(key) == 0 || len(key) > keyBytesMax {
				return fmt.Errorf("the line %q has no key", line)
			}
			all.add([]byte(key))
			count.Store(int64(all.len()))
		case string(line) == "OK": // of newer versions, before the first key
		case string(line) == "END":
			return nil
		case bytes.HasPrefix(line, []byte("BUSY")), bytes.HasPrefix(line, []byte("ERROR locked")):
			return errBusy
		default:
			return fmt.Errorf("%w: %s", errRefused, line)
		}
	}
}

// appendKey appends a key as the meta commands take it, and the flags that say so. It
// reports false if there is no way to write the key.
func appendKey(dst, key []byte) (out, flags []byte, ok bool) {
	plain := true
	for _, b := range key {
		if b <= ' ' || b == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return append(dst, key...), nil, true
	}
	if base64.StdEncoding.EncodedLen(len(key)) > keyBytesMax {
		return dst, nil, false
	}
	return base64.StdEncoding.AppendEncode(dst, key), []byte(" b"), true
}
