package protocol_test

import (
	"bytes"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"raftcached/internal/transcript"
	"raftcached/protocol"
)

// TestTranscripts replays the transcripts against a model of a cache behind the
// parser, whole and cut at every byte.
func TestTranscripts(t *testing.T) {
	for _, b := range loadTranscripts(t) {
		replay := func(chop func(string) []string) error {
			c := &modelConn{parser: protocol.NewParser(itemBytesMax, nil), model: model{items: map[string]modelItem{}}}
			return b.Replay(c, transcript.Options{Chop: chop, Wait: c.model.wait})
		}
		if err := replay(nil); err != nil {
			t.Error(err)
			continue
		}
		if err := replay(transcript.EveryByte); err != nil {
			t.Errorf("byte by byte: %v", err)
		}
		for _, at := range cuts(b.Requests()) {
			if err := replay(cutOnce(at)); err != nil {
				t.Errorf("cut at byte %d: %v", at, err)
				break
			}
		}
	}
}

// cutOnce returns a Chop that cuts the client's bytes in two, at an offset from
// the first that it sends.
func cutOnce(at int) func(string) []string {
	return func(s string) []string {
		before := at
		at -= len(s)
		if before <= 0 || before >= len(s) {
			return []string{s}
		}
		return []string{s[:before], s[before:]}
	}
}

// modelConn is a connection to a model: what is written is answered at once, and
// what is not there to be read will not come.
type modelConn struct {
	net.Conn // nil: a replay calls nothing else

	parser *protocol.Parser
	model  model
	in     []byte
	out    bytes.Buffer
	closed bool
}

func (c *modelConn) Write(b []byte) (int, error) {
	c.in = append(c.in, b...)
	var req protocol.Request
	for !c.closed && len(c.in) > 0 {
		n, v := c.parser.Parse(c.in, &req)
		if v == protocol.NeedMore && n == 0 {
			break
		}
		c.closed = v == protocol.Close || req.HangUp || v == protocol.Ready && req.Command == protocol.Quit
		if v == protocol.Ready {
			c.out.Write(c.model.answer(&req))
			c.parser.Consumed(&req)
		}
		c.in = c.in[n:]
	}
	return len(b), nil
}

func (c *modelConn) Read(b []byte) (int, error) {
	if c.out.Len() > 0 {
		return c.out.Read(b)
	}
	if c.closed {
		return 0, io.EOF
	}
	return 0, os.ErrDeadlineExceeded
}

func (c *modelConn) SetReadDeadline(time.Time) error { return nil }

// model is a cache in its simplest form: protocol.txt with a map.
type model struct {
	items   map[string]modelItem
	cas     uint64
	passed  time.Duration // since modelStart
	flushAt time.Duration // of a delayed flush_all, or 0
}

type modelItem struct {
	value  []byte
	flags  uint32
	cas    uint64
	expiry time.Duration // as model.passed

	stale, won, fetched bool          // of the meta commands
	accessed            time.Duration // as model.passed
}

// modelStart is when a model begins, in Unix time.
const modelStart = 1_800_000_000

func (m *model) wait(d time.Duration) { m.passed += d }

// answer carries out a request and returns what is answered.
func (m *model) answer(r *protocol.Request) []byte {
	if m.flushAt > 0 && m.passed >= m.flushAt {
		clear(m.items)
		m.flushAt = 0
	}
	if r.Form.Codec == protocol.Binary {
		return m.answerBinary(r)
	}
	var reply []byte
	switch r.Command {
	case protocol.Get, protocol.Gets, protocol.Gat, protocol.Gats:
		for _, key := range r.Keys {
			if it, found := m.find(key); found {
				if r.Command.IsWrite() {
					it.expiry = m.expiry(r.Exptime)
				}
				it.fetched, it.accessed = true, m.passed
				m.items[string(key)] = it
				withCAS := r.Command == protocol.Gets || r.Command == protocol.Gats
				reply = protocol.AppendValue(reply, key, it.flags, it.cas, withCAS, it.value)
			}
		}
		return append(reply, protocol.ReplyEnd...)
	case protocol.Invalid, protocol.Version, protocol.Verbosity, protocol.Stats, protocol.Shutdown, protocol.Quit, protocol.ConfigGet,
		protocol.MetaDump, protocol.MGDump, protocol.CacheDump, protocol.Crawler, protocol.RefreshCerts:
		reply = []byte(adminReply(r))
	default:
		result := m.carryOut(r)
		reply = protocol.AppendAnswer(nil, r.Command, &r.Form, &result)
	}
	if r.NoReply {
		return nil
	}
	return reply
}

func adminReply(r *protocol.Request) string {
	switch r.Command {
	case protocol.Version:
		return "VERSION 1.6.45\r\n"
	case protocol.Verbosity:
		return "OK\r\n"
	case protocol.Shutdown:
		return "SERVER_ERROR: shutdown not enabled\r\n"
	case protocol.ConfigGet, protocol.RefreshCerts:
		return "ERROR\r\n"
	case protocol.Crawler:
		if string(r.Arg) == "enable" {
			return "ERROR failed to start lru crawler thread\r\n"
		}
		return "OK\r\n"
	case protocol.MetaDump, protocol.MGDump, protocol.CacheDump: // of classes without items
		return string(protocol.AppendDumpEnd(protocol.AppendDumpBegin(nil, r.Command), r.Command))
	case protocol.Stats:
		list, line := stats(string(r.Arg))
		if line == "" {
			line = string(protocol.AppendStats(nil, &r.Form, list))
		}
		return line
	}
	return r.Reply
}

// stats returns the statistics that arg asks for, or the line that answers it.
func stats(arg string) (list protocol.StatList, line string) {
	switch arg {
	case "reset":
		return nil, "RESET\r\n"
	case "detail on", "detail off":
		return nil, "OK\r\n"
	case "nonsense":
		return nil, "ERROR\r\n"
	case "sizes":
		return protocol.StatList{{Name: "sizes_status", Value: "disabled"}}, ""
	}
	return nil, ""
}

func (m *model) find(key []byte) (modelItem, bool) {
	it, found := m.items[string(key)]
	return it, found && it.expiry > m.passed
}

// expiry turns a client's exptime into the model's time.
func (m *model) expiry(exptime int64) time.Duration {
	const relativeMax = 60 * 60 * 24 * 30
	switch exptime = int64(int32(exptime)); {
	case exptime == 0:
		return math.MaxInt64
	case exptime < 0:
		return 0
	case exptime <= relativeMax:
		return m.passed + time.Duration(exptime)*time.Second
	default:
		return time.Duration(exptime-modelStart) * time.Second
	}
}

func (m *model) write(r *protocol.Request) protocol.Result {
	it, found := m.find(r.Key)
	var status protocol.Status
	switch r.Command {
	case protocol.FlushAll:
		if at := m.expiry(r.Exptime); r.Exptime > 0 && at > m.passed {
			m.flushAt = at
		} else {
			clear(m.items)
		}
		return protocol.Result{Status: protocol.StatusOK}
	case protocol.CacheMemlimit:
		if r.Delta < 8<<20 {
			return protocol.Result{Status: protocol.StatusTooSmall}
		}
		if r.Delta > 512<<20 {
			return protocol.Result{Status: protocol.StatusOutOfBounds}
		}
		return protocol.Result{Status: protocol.StatusOK}
	case protocol.Delete, protocol.Touch:
		if !found {
			return protocol.Result{Status: protocol.StatusNotFound}
		}
		if r.Command == protocol.Delete {
			delete(m.items, string(r.Key))
			return protocol.Result{Status: protocol.StatusDeleted}
		}
		it.expiry = m.expiry(r.Exptime)
		m.items[string(r.Key)] = it
		return protocol.Result{Status: protocol.StatusTouched}
	case protocol.Incr, protocol.Decr:
		return m.count(r, it, found)
	case protocol.Append, protocol.Prepend:
		status = m.concat(r, it, found)
	default:
		status = m.store(r, it, found)
	}
	return protocol.Result{Status: status}
}

// put stores an item under the next cas unique.
func (m *model) put(key []byte, it modelItem) protocol.Status {
	m.cas++
	it.cas = m.cas
	it.accessed = m.passed
	m.items[string(key)] = it
	return protocol.StatusStored
}

func (m *model) store(r *protocol.Request, old modelItem, found bool) protocol.Status {
	switch {
	case r.TooLarge:
		if r.Command == protocol.Set {
			delete(m.items, string(r.Key))
		}
		return protocol.StatusTooLarge
	case r.Command == protocol.Add && found, r.Command == protocol.Replace && !found:
		return protocol.StatusNotStored
	case r.Command == protocol.CAS && !found:
		return protocol.StatusNotFound
	case r.Command == protocol.CAS && old.cas != r.CAS:
		return protocol.StatusExists
	}
	return m.put(r.Key, modelItem{value: bytes.Clone(r.Value), flags: r.Flags, expiry: m.expiry(r.Exptime)})
}

func (m *model) concat(r *protocol.Request, it modelItem, found bool) protocol.Status {
	switch {
	case r.TooLarge:
		return protocol.StatusTooLarge
	case !found, len(r.Key)+len(it.value)+len(r.Value) > itemBytesMax-64:
		return protocol.StatusNotStored
	case r.Command == protocol.Append:
		it.value = append(bytes.Clone(it.value), r.Value...)
	default:
		it.value = append(bytes.Clone(r.Value), it.value...)
	}
	return m.put(r.Key, it)
}

func (m *model) count(r *protocol.Request, it modelItem, found bool) protocol.Result {
	if !found {
		return protocol.Result{Status: protocol.StatusNotFound}
	}
	digits, _, _ := bytes.Cut(bytes.TrimLeft(it.value, " "), []byte(" "))
	n, err := strconv.ParseUint(string(bytes.TrimPrefix(digits, []byte("+"))), 10, 64)
	switch {
	case err != nil:
		return protocol.Result{Status: protocol.StatusNonNumeric}
	case r.Command == protocol.Incr:
		n += r.Delta
	default:
		n -= min(n, r.Delta)
	}
	value := strconv.AppendUint(nil, n, 10)
	for len(value) < len(it.value) {
		value = append(value, ' ')
	}
	it.value = value
	m.put(r.Key, it)
	return protocol.Result{Status: protocol.StatusNumber, Number: n}
}
