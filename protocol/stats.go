package protocol

import "strconv"

// Stat is one statistic.
type Stat struct{ Name, Value string }

// StatList holds statistics in the order in which they are reported.
type StatList []Stat

// Add appends a statistic.
func (l *StatList) Add(name, value string) { *l = append(*l, Stat{name, value}) }

// AddInt appends a statistic that is a number.
func (l *StatList) AddInt(name string, value int64) { l.Add(name, strconv.FormatInt(value, 10)) }

// AppendStats appends the answer to a stats command:
//
//	Text                        Binary
//	STAT NAME VALUE\r\n         a packet with key NAME and value VALUE, for each
//	END\r\n                     a packet without key and value
//
// (protocol.txt, "Statistics"; protocol_binary.txt, "Stat").
func AppendStats(dst []byte, f *Form, list StatList) []byte {
	return AppendStatsEnd(AppendStatsBegun(dst, f, list), f)
}

// AppendStatsBegun appends a part of that answer: more statistics follow, or AppendStatsEnd.
func AppendStatsBegun(dst []byte, f *Form, list StatList) []byte {
	if f.Codec == Binary {
		for i := range list {
			dst = appendStatPacket(dst, f, list[i])
		}
		return dst
	}
	for _, s := range list {
		dst = append(dst, "STAT "...)
		dst = append(dst, s.Name...)
		dst = append(dst, ' ')
		dst = append(dst, s.Value...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// AppendStatsEnd appends what comes behind all statistics.
func AppendStatsEnd(dst []byte, f *Form) []byte {
	if f.Codec == Binary {
		return appendStatPacket(dst, f, Stat{})
	}
	return append(dst, ReplyEnd...)
}

// appendStatPacket appends the packet of one statistic.
func appendStatPacket(dst []byte, f *Form, s Stat) []byte {
	h := header{opcode: f.Opcode, opaque: f.Opaque, key: len(s.Name), body: len(s.Name) + len(s.Value)}
	dst = appendHeader(dst, binaryReplyMagic, codeSuccess, &h)
	dst = append(dst, s.Name...)
	return append(dst, s.Value...)
}
