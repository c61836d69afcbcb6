package replication

import (
	"encoding/binary"
	"fmt"
	"io"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Image is the replicated state at one index, written bit by bit. The applier's
// goroutine owns it.
type Image struct {
	Index, Term uint64
	Conf        *pb.ConfState // raft's configuration
	head        []byte        // nil once written
	view        View
}

// image captures the state as of the last applied entry.
func (st *state) image() *Image {
	head := st.appendHead(nil)
	st.logBytes = 0
	head = append(binary.LittleEndian.AppendUint32(nil, uint32(len(head))), head...)
	return &Image{Index: st.index, Term: st.term, Conf: st.members.Conf, head: head, view: st.machine.View()}
}

// Next appends the next part of the image to dst, see View.
func (i *Image) Next(dst []byte) (out []byte, more bool, err error) {
	if i.head != nil {
		dst = append(dst, i.head...)
		i.head = nil
		return dst, true, nil
	}
	return i.view.Next(dst)
}

// write writes all of the image.
func (i *Image) write(w io.Writer) error {
	var buf []byte
	for more := true; more; {
		var err error
		if buf, more, err = i.Next(buf[:0]); err != nil {
			return fmt.Errorf("state was replaced while its image was written: %w", err)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// drain ends the image without a use for it.
func (i *Image) drain() {
	_ = i.write(io.Discard) // it fails if the image is lost already
}
