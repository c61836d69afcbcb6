package snapshot

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Owner is who writes a snapshot: a data folder, of a cluster. A snapshot that a peer
// has sent belongs to the folder that it is received in.
type Owner struct {
	Directory [16]byte // the folder's directory id
	Cluster   uint64
}

// ForeignError reports that a snapshot is sound, but not of this data folder: it was put
// there. Nothing in the folder can be relied on.
type ForeignError struct {
	File   string
	Reason string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("snapshot %q does not belong to this data folder: %s", e.File, e.Reason)
}

// The versions of a snapshot. One of version 1 has no owner.
const (
	magic1     = "rcsnap\x00\x01"
	magic      = "rcsnap\x00\x02"
	ownerBytes = 16 + 8
)

// head is the beginning of a snapshot.
type head struct {
	meta  *pb.SnapshotMetadata
	owner Owner
	owned bool // false: version 1, owner is unknown
	bytes int  // its length in the file
}

// appendHead appends a head of the present version.
func appendHead(dst []byte, owner Owner, meta *pb.SnapshotMetadata) ([]byte, error) {
	encoded, err := proto.Marshal(meta)
	if err != nil {
		return nil, err
	}
	start := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, owner.Directory[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, owner.Cluster)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(encoded)))
	dst = append(dst, encoded...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli)), nil
}

// source returns consecutive parts of a file. A part is valid until the next call.
type source interface {
	next(n int) ([]byte, error)
}

// start is a source for the beginning of a file.
type start struct{ in io.Reader }

func (s start) next(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errShort
		}
		return nil, err
	}
	return b, nil
}

// readHead reads the head of a snapshot, and checks its index and term.
func readHead(in source, index, term uint64) (*head, error) {
	h, err := readAnyHead(in)
	if err == nil && (h.meta.GetIndex() != index || h.meta.GetTerm() != term) {
		err = fmt.Errorf("file is of index %d: %w", h.meta.GetIndex(), ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot %d: %w", index, err)
	}
	return h, nil
}

func readAnyHead(in source) (*head, error) {
	h := &head{meta: new(pb.SnapshotMetadata)}
	b, err := in.next(len(magic))
	if err != nil {
		return nil, err
	}
	fixed := 4
	switch string(b) {
	case magic:
		h.owned = true
		fixed += ownerBytes
	case magic1:
	default:
		return nil, fmt.Errorf("no head of a snapshot: %w", ErrCorrupt)
	}
	sum := crc32.Checksum(b, castagnoli)
	if b, err = in.next(fixed); err != nil {
		return nil, err
	}
	sum = crc32.Update(sum, castagnoli, b)
	if h.owned {
		copy(h.owner.Directory[:], b)
		h.owner.Cluster = binary.LittleEndian.Uint64(b[len(h.owner.Directory):])
	}
	n := binary.LittleEndian.Uint32(b[fixed-4:])
	if n > metadataBytesMax {
		return nil, fmt.Errorf("metadata of %d bytes: %w", n, ErrCorrupt)
	}
	if b, err = in.next(int(n) + 4); err != nil {
		return nil, err
	}
	sum = crc32.Update(sum, castagnoli, b[:n])
	if sum != binary.LittleEndian.Uint32(b[n:]) || proto.Unmarshal(b[:n], h.meta) != nil {
		return nil, fmt.Errorf("metadata has another checksum: %w", ErrCorrupt)
	}
	h.bytes = len(magic) + fixed + int(n) + 4
	return h, nil
}

// checkOwner returns a *ForeignError if the folder o.Owner has not written the snapshot.
func (o *Options) checkOwner(name string, h *head) error {
	switch {
	case o.AnyOwner:
		return nil
	case !h.owned && h.meta.GetIndex() > o.Unowned:
		return &ForeignError{name, "it is of an older version than the snapshots that were there"}
	case h.owned && h.owner.Directory != o.Owner.Directory:
		return &ForeignError{name, fmt.Sprintf("data folder %s has written it, and this is %s",
			hex.EncodeToString(h.owner.Directory[:]), hex.EncodeToString(o.Owner.Directory[:]))}
	default:
		return nil
	}
}
