package protocol

import (
	"encoding/binary"
	"math"
	"strconv"

	"raftcached/internal/item"
)

// AppendRequest appends the bytes of a request, which must be neither Invalid nor
// TooLarge. Parsing them gives the same request.
func AppendRequest(dst []byte, r *Request) []byte {
	if r.Form.Codec == Binary {
		return appendBinaryRequest(dst, r)
	}
	if r.Form.Codec == Meta {
		return appendMetaRequest(dst, r)
	}
	dst = append(dst, r.Command.String()...)
	switch r.Command {
	case Get, Gets:
		dst = appendWords(dst, r.Keys...)
	case Gat, Gats:
		dst = appendInt(dst, r.Exptime)
		dst = appendWords(dst, r.Keys...)
	case Set, Add, Replace, Append, Prepend, CAS:
		return appendStore(dst, r)
	case Touch:
		dst = appendInt(appendWords(dst, r.Key), r.Exptime)
	case Delete:
		dst = append(appendWords(dst, r.Key), " 0"...) // or the key "noreply" would be the last word
	case Incr, Decr:
		dst = appendUint(appendWords(dst, r.Key), r.Delta)
	case CacheMemlimit:
		dst = appendUint(dst, r.Delta/mebibyte)
	case FlushAll:
		dst = appendInt(dst, r.Exptime)
	case Verbosity:
		dst = appendUint(dst, r.Delta)
	case ConfigGet:
		dst = appendWords(append(dst, " get"...), r.Arg)
	case MetaDump, MGDump, CacheDump, Crawler:
		dst = appendDump(dst, r)
	case Stats:
		if len(r.Arg) > 0 {
			dst = appendWords(dst, r.Arg)
		}
	}
	return appendLineEnd(dst, r)
}

// appendDump appends what lru_crawler and stats cachedump are asked.
func appendDump(dst []byte, r *Request) []byte {
	class, classes := " 1", " all"
	if r.NoItems {
		class, classes = " 2", " 2"
	}
	switch arg := string(r.Arg); {
	case r.Command == CacheDump:
		return appendUint(append(dst, class...), r.Delta)
	case r.Command != Crawler:
		return append(dst, classes...)
	case arg == "crawl":
		return append(dst, " crawl all"...)
	case arg == "tocrawl", arg == "sleep":
		return append(append(append(dst, ' '), arg...), " 0"...)
	default:
		return append(append(dst, ' '), arg...)
	}
}

// appendMetaRequest appends a meta command with the flags that it was sent with.
func appendMetaRequest(dst []byte, r *Request) []byte {
	switch r.Command {
	case Noop:
		return append(dst, "mn\r\n"...)
	case MetaGet, MetaGat:
		dst = append(dst, "mg "...)
	case MetaDebug:
		dst = append(dst, "me "...)
	case Delete:
		dst = append(dst, "md "...)
	case Incr, Decr:
		dst = append(dst, "ma "...)
	default:
		dst = append(dst, "ms "...)
	}
	dst = r.Form.appendKey(dst, r.Key)
	isStore := r.Command.IsStore()
	if isStore {
		dst = appendUint(dst, uint64(len(r.Value)))
	}
	dst = append(dst, r.Form.Flags...)
	dst = append(dst, "\r\n"...)
	if isStore {
		dst = append(dst, r.Value...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendStore appends what follows the name of a storage command.
func appendStore(dst []byte, r *Request) []byte {
	dst = appendUint(appendWords(dst, r.Key), uint64(r.Flags))
	dst = appendInt(dst, r.Exptime)
	dst = appendUint(dst, uint64(len(r.Value)))
	if r.Command == CAS {
		dst = appendUint(dst, r.CAS)
	}
	dst = appendLineEnd(dst, r)
	dst = append(dst, r.Value...)
	return append(dst, "\r\n"...)
}

func appendLineEnd(dst []byte, r *Request) []byte {
	if r.NoReply {
		dst = append(dst, " noreply"...)
	}
	return append(dst, "\r\n"...)
}

func appendWords(dst []byte, words ...[]byte) []byte {
	for _, word := range words {
		dst = append(dst, ' ')
		dst = append(dst, word...)
	}
	return dst
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(append(dst, ' '), n, 10) }

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(append(dst, ' '), n, 10) }

// appendBinaryRequest appends the packet of a request.
func appendBinaryRequest(dst []byte, r *Request) []byte {
	var (
		op    = &opcodes[r.Form.Opcode]
		key   = r.Key
		extra [deltaExtras]byte
	)
	switch op.command {
	case Set, Add, Replace:
		binary.BigEndian.PutUint32(extra[:], r.Flags)
		binary.BigEndian.PutUint32(extra[4:], uint32(r.Exptime))
	case Incr, Decr:
		binary.BigEndian.PutUint64(extra[:], r.Delta)
		binary.BigEndian.PutUint64(extra[8:], r.Initial)
		binary.BigEndian.PutUint32(extra[16:], math.MaxUint32)
		if r.Fields&item.HasVivify != 0 {
			binary.BigEndian.PutUint32(extra[16:], uint32(r.Vivify))
		}
	case Touch, MetaGat, FlushAll:
		binary.BigEndian.PutUint32(extra[:], uint32(r.Exptime))
	case Verbosity:
		binary.BigEndian.PutUint32(extra[:], uint32(r.Delta))
	case Stats:
		key = r.Arg
	}
	dst = appendHeader(dst, binaryMagic, 0, &header{
		opcode: r.Form.Opcode, key: len(key), extras: op.extras,
		body: op.extras + len(key) + len(r.Value), opaque: r.Form.Opaque, cas: r.CAS,
	})
	dst = append(dst, extra[:op.extras]...)
	dst = append(dst, key...)
	return append(dst, r.Value...)
}
