package replication

import (
	"errors"
	"fmt"
	"slices"

	"raftcached/replication/frame"
)

const (
	entryVersion = 1

	// opsBytesMax bounds the operations of one sub-batch: an item of 8 MiB, the
	// largest -I, with its key and header.
	opsBytesMax = 9 << 20

	// subBatchesMax bounds the sub-batches of one entry or forwarded payload.
	subBatchesMax = 1 << 16

	// hintsBytesMax bounds the read hints of one entry, and of one signal.
	hintsBytesMax = 64 << 10

	// hintBytes is the size of one read hint, the hash of a key.
	hintBytes = 8

	// loopsMax bounds the loops of a node, and so the rows of an origin: 256 event
	// loops, and the one of the node's own process.
	loopsMax = 257
)

// stampMsMax is beyond any stamp, in ms of Unix time, and little enough to be added to.
const stampMsMax = 1 << 50

var errMalformed = errors.New("malformed batch")

// clusterOrigin is the origin of the cluster's own sub-batches; no raft id is 0.
// A leader alone makes them. They have no number, and applying one again has no
// effect.
const clusterOrigin = 0

// SubBatch is what one event loop gathered in one turn: operations that are
// applied together, in order.
type SubBatch struct {
	Origin uint64 // raft id of the node whose clients sent the operations, or clusterOrigin
	Boot   uint64 // that node's boot number
	Loop   int    // event loop at the origin
	Seq    uint64 // 1, 2, ... for each (origin, boot, loop)
	Tag    uint64 // the event loop's own number, by which it knows the answer
	Count  int    // operations in Ops
	Ops    []byte // opaque; empty when the origin has given the sub-batch up
}

// appendSubBatch appends the encoding of s to dst.
func appendSubBatch(dst []byte, s *SubBatch) []byte {
	return append(appendSubBatchHead(dst, s), s.Ops...)
}

// subBatchHeadMax is the most that appendSubBatchHead appends.
const subBatchHeadMax = 1 + 6*9 + 5

// appendSubBatchHead appends the encoding of s up to its operations, which end it.
func appendSubBatchHead(dst []byte, s *SubBatch) []byte {
	dst = frame.AppendArrayLen(dst, 7)
	dst = frame.AppendUint(dst, s.Origin)
	dst = frame.AppendUint(dst, s.Boot)
	dst = frame.AppendUint(dst, uint64(s.Loop))
	dst = frame.AppendUint(dst, s.Seq)
	dst = frame.AppendUint(dst, s.Tag)
	dst = frame.AppendUint(dst, uint64(s.Count))
	return frame.AppendBytesLen(dst, len(s.Ops))
}

// readSubBatch decodes one sub-batch. Ops aliases the reader's bytes.
func readSubBatch(r *frame.Reader) (s SubBatch, err error) {
	if n, err := r.ArrayLen(7); err != nil || n != 7 {
		return s, fmt.Errorf("read sub-batch: array of %d, want 7: %w", n, errors.Join(err, errMalformed))
	}
	var loop, count uint64
	for _, p := range []*uint64{&s.Origin, &s.Boot, &loop, &s.Seq, &s.Tag, &count} {
		if *p, err = r.Uint64(); err != nil {
			return s, fmt.Errorf("read sub-batch: %w", err)
		}
	}
	if s.Ops, err = r.Bytes(opsBytesMax); err != nil {
		return s, fmt.Errorf("read operations of sub-batch: %w", err)
	}
	if loop >= loopsMax || count > uint64(len(s.Ops)) {
		return s, fmt.Errorf("read sub-batch: loop %d, %d operations in %d bytes: %w", loop, count, len(s.Ops), errMalformed)
	}
	s.Loop, s.Count = int(loop), int(count)
	return s, nil
}

// encodeEntry returns a log entry of read hints, if any, and n encoded sub-batches.
func encodeEntry(stampMs int64, hints []byte, n int, subs []byte) []byte {
	return append(appendEntryHead(nil, stampMs, hints, n), subs...)
}

// appendEntryHead appends a log entry up to its n sub-batches, which end it, to dst.
func appendEntryHead(dst []byte, stampMs int64, hints []byte, n int) []byte {
	dst = frame.AppendArrayLen(dst, 4)
	dst = frame.AppendUint(dst, entryVersion)
	dst = frame.AppendInt(dst, stampMs)
	if len(hints) > 0 {
		dst = frame.AppendBytes(dst, hints)
	} else {
		dst = frame.AppendNil(dst)
	}
	return frame.AppendArrayLen(dst, n)
}

// header is the head of a log entry.
type header struct {
	stampMs    int64
	hints      []byte // aliases the entry; a multiple of hintBytes
	subBatches int
}

// fieldsMax bounds the fields of what begins with its version: a later one may have more than
// this program knows, and is to be told from what is malformed.
const fieldsMax = 16

// entryHeader decodes the head of a log entry and leaves r at its first
// sub-batch.
func entryHeader(r *frame.Reader) (h header, err error) {
	n, err := r.ArrayLen(fieldsMax)
	if err != nil {
		return h, fmt.Errorf("read entry: array of %d, want 4: %w", n, errors.Join(err, errMalformed))
	}
	version, err := r.Uint64()
	if err != nil {
		return h, fmt.Errorf("read entry version: %w", err)
	}
	if version != entryVersion {
		return h, fmt.Errorf("entry has version %d, this program knows %d: %w", version, entryVersion, ErrLater)
	}
	if n != 4 {
		return h, fmt.Errorf("read entry: array of %d, want 4: %w", n, errMalformed)
	}
	if h.stampMs, err = r.Int64(); err != nil {
		return h, fmt.Errorf("read entry stamp: %w", err)
	}
	if h.stampMs < 0 || h.stampMs > stampMsMax {
		return h, fmt.Errorf("read entry stamp %d: %w", h.stampMs, errMalformed)
	}
	if !r.SkipNil() {
		if h.hints, err = readHints(r); err != nil {
			return h, fmt.Errorf("read entry: %w", err)
		}
	}
	if h.subBatches, err = r.ArrayLen(subBatchesMax); err != nil {
		return h, fmt.Errorf("read entry: %w", err)
	}
	return h, nil
}

// readHints decodes read hints, of which there is one at least. They alias the
// reader's bytes.
func readHints(r *frame.Reader) ([]byte, error) {
	hints, err := r.Bytes(hintsBytesMax)
	if err != nil {
		return nil, fmt.Errorf("read hints: %w", err)
	}
	if len(hints) == 0 || len(hints)%hintBytes != 0 {
		return nil, fmt.Errorf("read hints: %d bytes, want a multiple of %d: %w", len(hints), hintBytes, errMalformed)
	}
	return hints, nil
}

// splitForwarded checks a forwarded payload and returns the number of its
// sub-batches and their bytes. Every sub-batch must come from origin, so that none
// is the cluster's own, and from the start of it that the peer has shown: one of a
// higher boot number would shut the origin out.
//
// Operations that check refuses are removed, and refused says why. What is left of
// their sub-batch is applied in its turn, so that the origin answers its clients with
// an error, and those of later ones as ever.
func splitForwarded(payload []byte, origin, boot uint64, check func(count int, ops []byte) error) (n int, subs []byte, refused, err error) {
	r := frame.NewReader(payload)
	if n, err = r.ArrayLen(subBatchesMax); err != nil {
		return 0, nil, nil, fmt.Errorf("read forwarded payload: %w", err)
	}
	var sound []byte // what is kept, once something was removed
	subs = r.Rest()
	for range n {
		before := r.Rest()
		s, err := readSubBatch(&r)
		if err != nil {
			return 0, nil, nil, err
		}
		if s.Origin != origin || s.Origin == clusterOrigin || s.Boot != boot {
			return 0, nil, nil, fmt.Errorf("forwarded sub-batch of origin %d and boot %d came from %d and %d: %w", s.Origin, s.Boot, origin, boot, errMalformed)
		}
		if reason := check(s.Count, s.Ops); reason != nil {
			if refused == nil {
				sound, refused = slices.Clone(subs[:len(subs)-len(before)]), fmt.Errorf("refused sub-batch %d of loop %d: %w", s.Seq, s.Loop, reason)
			}
			s.Count, s.Ops = 0, nil
			sound = appendSubBatch(sound, &s)
		} else if refused != nil {
			sound = append(sound, before[:len(before)-len(r.Rest())]...)
		}
	}
	if len(r.Rest()) != 0 {
		return 0, nil, nil, fmt.Errorf("forwarded payload has %d bytes too many: %w", len(r.Rest()), errMalformed)
	}
	if refused != nil {
		subs = sound
	}
	return n, subs, refused, nil
}
