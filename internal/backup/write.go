package backup

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"raftcached/engine"

	"github.com/cespare/xxhash/v2"
)

const (
	magic      = "rcbackup"
	startBytes = 8 + 4 + 4
	endBytes   = 4 + 8 + 8 + 4

	// headerBytesMax bounds a header that is read, chunkBytesMax every chunk.
	headerBytesMax = 64 << 10
	chunkBytesMax  = 256 << 10

	// peekBytes is more than the head of an image.
	peekBytes = 4 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrUnfinished refuses a backup of a cluster that another backup is being restored
// into.
var ErrUnfinished = errors.New("a restore into this cluster is not finished")

// Write writes a backup of the image that it reads. The header's facts on items come
// from the image. written is called after each chunk.
func Write(w io.Writer, h Header, image io.Reader, written func()) error {
	in := bufio.NewReaderSize(image, chunkBytesMax)
	peeked, err := in.Peek(peekBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the image: %w", err)
	}
	opened, err := engine.OpenImage(bytes.NewReader(peeked))
	if err != nil {
		return err
	}
	if opened.Head().Filling {
		return ErrUnfinished
	}
	h.fill(opened.Head())
	if err := writeHeader(w, &h); err != nil {
		return err
	}
	var (
		buf    = make([]byte, 8+chunkBytesMax)
		digest = xxhash.New()
		size   uint64
	)
	for {
		n, err := io.ReadFull(in, buf[8:])
		if n > 0 {
			chunk := buf[8 : 8+n]
			_, _ = digest.Write(chunk) // never fails
			size += uint64(n)
			binary.LittleEndian.PutUint32(buf, uint32(n))
			binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(chunk, castagnoli))
			if _, err := w.Write(buf[:8+n]); err != nil {
				return fmt.Errorf("write the backup: %w", err)
			}
			written()
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read the image: %w", err)
		}
	}
	end := binary.LittleEndian.AppendUint64(make([]byte, 4, endBytes), size)
	end = binary.LittleEndian.AppendUint64(end, digest.Sum64())
	end = binary.LittleEndian.AppendUint32(end, crc32.Checksum(end, castagnoli))
	if _, err := w.Write(end); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

func writeHeader(w io.Writer, h *Header) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32([]byte(magic), Version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, text...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}
