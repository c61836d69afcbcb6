package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// frameBytesMax bounds a frame. An entry with the largest item fits.
	frameBytesMax = 16 << 20

	// helloBytesMax bounds the first frame, from a node that is not known yet.
	helloBytesMax = 64 << 10

	// frameHeaderBytes is the length of a frame, and sealedHeaderBytes that and the
	// checksum.
	frameHeaderBytes  = 4
	sealedHeaderBytes = frameHeaderBytes + crc32.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged reports a frame that is not what was sent.
var errDamaged = errors.New("it was damaged on its way: its checksum differs")

// beginSealed appends space for the header of a sealed frame. endSealed fills it in.
func beginSealed(dst []byte) []byte { return append(dst, make([]byte, sealedHeaderBytes)...) }

func endSealed(b []byte, start int) {
	contents := b[start+sealedHeaderBytes:]
	binary.BigEndian.PutUint32(b[start:], uint32(len(contents)))
	binary.BigEndian.PutUint32(b[start+frameHeaderBytes:], crc32.Checksum(contents, castagnoli))
}

// appendContents appends the contents of a frame of a kind and a byte string.
func appendContents(dst []byte, kind uint64, payload []byte) []byte {
	return frame.AppendBytes(frame.AppendUint(frame.AppendArrayLen(dst, 2), kind), payload)
}

// appendPayload appends a sealed frame of a kind and a byte string.
func appendPayload(dst []byte, kind uint64, payload []byte) []byte {
	start := len(dst)
	dst = appendContents(beginSealed(dst), kind, payload)
	endSealed(dst, start)
	return dst
}

// appendMessage appends a sealed frame of a raft message and its round.
func appendMessage(dst []byte, m *pb.Message, round uint64) ([]byte, error) {
	start := len(dst)
	dst = beginSealed(dst)
	dst = frame.AppendArrayLen(dst, 3)
	dst = frame.AppendUint(dst, kindRaft)
	dst = frame.AppendBytesLen(dst, proto.Size(m))
	dst, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	dst = frame.AppendUint(dst, round)
	endSealed(dst, start)
	return dst, nil
}

// writeFrame writes one frame of a handshake with the given contents.
func writeFrame(w io.Writer, contents []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(contents))), contents...))
	return err
}

// writeSealed writes one sealed frame with the given contents.
func writeSealed(w io.Writer, contents []byte) error {
	b := append(beginSealed(nil), contents...)
	endSealed(b, 0)
	_, err := w.Write(b)
	return err
}

// readFrame reads the contents of one frame of a handshake.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHeaderBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0] == recordTypeHandshake && head[1] == recordVersionMajor {
		return nil, errSpeaksTLS // as a length it would be far too much
	}
	return readContents(r, nil, binary.BigEndian.Uint32(head[:]), helloBytesMax)
}

// readSealed reads the contents of one sealed frame, and into buf, if they fit.
func readSealed(r io.Reader, buf []byte, limit uint32) ([]byte, error) {
	var head [sealedHeaderBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b, err := readContents(r, buf, binary.BigEndian.Uint32(head[:]), limit)
	if err != nil {
		return nil, err
	}
	if got, want := crc32.Checksum(b, castagnoli), binary.BigEndian.Uint32(head[frameHeaderBytes:]); got != want {
		return nil, fmt.Errorf("frame of %d bytes with checksum %08x, want %08x: %w", len(b), got, want, errDamaged)
	}
	return b, nil
}

func readContents(r io.Reader, buf []byte, n, limit uint32) ([]byte, error) {
	if n > limit {
		return nil, fmt.Errorf("frame of %d bytes, at most %d expected: %w", n, limit, errMalformed)
	}
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

// readKind reads the head of a frame, an array of the number of values that its
// kind has.
func readKind(r *frame.Reader) (kind uint64, err error) {
	n, err := r.ArrayLen(3)
	if err != nil {
		return 0, fmt.Errorf("read frame: %w", err)
	}
	if kind, err = r.Uint64(); err != nil {
		return 0, fmt.Errorf("read kind of frame: %w", err)
	}
	want := 2
	switch kind {
	case kindSnapshot, kindRaft:
		want = 3
	case kindEnd, kindAccepted:
		want = 1
	}
	if n != want {
		return 0, fmt.Errorf("frame of kind %d has %d values, want %d: %w", kind, n, want, errMalformed)
	}
	return kind, nil
}
