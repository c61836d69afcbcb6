package peer

import (
	"encoding/binary"
	"fmt"
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

	frameHeaderBytes = 4
)

// beginFrame appends space for the length. endFrame fills it in.
func beginFrame(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

func endFrame(b []byte, start int) {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-frameHeaderBytes))
}

// appendPayload appends a frame of a kind and a byte string.
func appendPayload(dst []byte, kind uint64, payload []byte) []byte {
	start := len(dst)
	dst = beginFrame(dst)
	dst = frame.AppendArrayLen(dst, 2)
	dst = frame.AppendUint(dst, kind)
	dst = frame.AppendBytes(dst, payload)
	endFrame(dst, start)
	return dst
}

// appendMessage appends a frame of a raft message and its round.
func appendMessage(dst []byte, m *pb.Message, round uint64) ([]byte, error) {
	start := len(dst)
	dst = beginFrame(dst)
	dst = frame.AppendArrayLen(dst, 3)
	dst = frame.AppendUint(dst, kindRaft)
	dst = frame.AppendBytesLen(dst, proto.Size(m))
	dst, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	dst = frame.AppendUint(dst, round)
	endFrame(dst, start)
	return dst, nil
}

// writeFrame writes one frame with the given contents.
func writeFrame(w io.Writer, contents []byte) error {
	b := append(beginFrame(nil), contents...)
	endFrame(b, 0)
	_, err := w.Write(b)
	return err
}

// readFrame reads the contents of one frame into buf, if it fits.
func readFrame(r io.Reader, buf []byte, limit uint32) ([]byte, error) {
	var head [frameHeaderBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
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
