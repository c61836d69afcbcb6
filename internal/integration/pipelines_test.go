package integration

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// TestPipelinesAreReadBehindTheirWrites: a pipeline in which reads and writes take turns
// is answered in order, each read shows what stands before it and nothing of what stands
// behind it, at every server, in the text and in the binary protocol, and its reads have joined the writes.
func TestPipelinesAreReadBehindTheirWrites(t *testing.T) {
	t.Parallel()
	const rounds = 200
	ctx, c := startCluster(t, cluster.Options{})
	_, err := c.AwaitLeader(ctx)
	must(t, err)
	for _, s := range c.Servers {
		at := testclient.Dial(t, s.ClientAddr)
		for n := range rounds {
			at.SendBytes(fmt.Sprintf("set n 0 0 4\r\n%04d\r\nget n\r\nappend n 0 0 1\r\nx\r\ngets none n\r\ndelete n\r\nget n\r\nset n 0 0 1\r\n1\r\nincr n 4\r\nget n n\r\n", n))
			at.Expect("STORED", "VALUE n 0 4", fmt.Sprintf("%04d", n), "END", "STORED")
			if got := at.ReadLine(); !strings.HasPrefix(got, "VALUE n 0 5 ") {
				t.Fatalf("gets: %q", got)
			}
			at.Expect(fmt.Sprintf("%04dx", n), "END", "DELETED", "END", "STORED", "5", "VALUE n 0 1", "5", "VALUE n 0 1", "5", "END")
		}
		if got := statOf(t, at.Stats(""), "reads_behind_writes"); got < rounds {
			t.Errorf("server %d has done %d reads behind writes, want %d and more", s.ID, got, rounds)
		}
	}
}

// pipe runs one client that sends pipelines, in which reads and writes take turns, to one
// server after the other until the history is stopped. What it tells of keys that others
// change too goes to the history. What it reads of its own key must be what it has written just
// before.
func (h *history) pipe(t *testing.T, id int, addrs []string) {
	random := rand.New(rand.NewPCG(h.seed, uint64(id)))
	ticker := time.NewTicker(4 * cmp.Or(h.pace, pace))
	defer ticker.Stop()
	var p *piper
	for n := 0; !h.stop.Load(); n++ {
		<-ticker.C
		if p == nil {
			conn, err := net.DialTimeout("tcp", addrs[random.IntN(len(addrs))], clientTimeout)
			if err != nil {
				continue
			}
			p = &piper{h: h, id: id, mine: fmt.Sprintf("%smine-%d.%d", h.name, id, n), conn: conn, replies: bufio.NewReader(conn)}
		}
		key := fmt.Sprintf("%skey-%d", h.name, random.IntN(cmp.Or(h.keys, keys)))
		if err := p.pipeline(key, n); err != nil {
			t.Error(err)
		}
		if p.failed || p.spent || random.IntN(10) == 0 {
			_ = p.conn.Close()
			p = nil
		}
	}
	if p != nil {
		_ = p.conn.Close()
	}
}

// piper is a connection for pipelines. It is given up when a write has failed, which may
// take effect later.
type piper struct {
	h       *history
	id      int
	mine    string // its own key
	conn    net.Conn
	replies *bufio.Reader
	call    time.Duration // when the pipeline was sent
	failed  bool          // the connection is of no use any more
	spent   bool          // a write has failed
}

// pipeline sends a pipeline and takes its answers. An error tells that it was not carried
// out in its order.
func (p *piper) pipeline(key string, n int) error {
	first, second, token := fmt.Sprintf("%d.%d.1", p.id, n), fmt.Sprintf("%d.%d.2", p.id, n), fmt.Sprintf("%d.%d ", p.id, n)
	requests := fmt.Sprintf("set %[1]s 0 0 %[2]d\r\n%[3]s\r\nget %[1]s\r\nget %[4]s\r\nappend %[4]s 0 0 %[5]d\r\n%[6]s\r\nget %[4]s\r\nset %[1]s 0 0 %[7]d\r\n%[8]s\r\nget %[1]s\r\n",
		p.mine, len(first), first, key, len(token), token, len(second), second)
	p.call = time.Since(p.h.start)
	_ = p.conn.SetDeadline(time.Now().Add(clientTimeout))
	_, err := io.WriteString(p.conn, requests)
	p.failed = p.failed || err != nil
	own := []error{p.own(first)}
	before := p.get(key)
	p.append(key, token)
	p.get(key)
	own = append(own, p.own(second))
	if strings.Contains(before, token) {
		own = append(own, fmt.Errorf("%q has what is appended behind its read", before))
	}
	return errors.Join(own...)
}

// own takes the answers to a set of the client's own key, and to the get of it that follows.
func (p *piper) own(value string) error {
	stored := p.line() == "STORED"
	got, answered := p.value()
	p.spent = p.spent || !stored
	if stored && answered && got != value {
		return fmt.Errorf("%q was stored, and %q is read behind it", value, got)
	}
	return nil
}

// append takes the answer to an append.
func (p *piper) append(key, token string) {
	line := p.line()
	if line == "SERVER_ERROR no leader" {
		return
	}
	out, done := output{found: line == "STORED"}, time.Since(p.h.start)
	if line != "STORED" && line != "NOT_STORED" {
		out, done = output{unknown: true}, math.MaxInt64
	}
	p.note(input{kind: "append", key: key, value: token}, out, done)
}

// get takes the answer to a get, and returns the value.
func (p *piper) get(key string) string {
	value, answered := p.value()
	if answered {
		p.note(input{kind: "get", key: key}, output{found: value != "", value: value}, time.Since(p.h.start))
	}
	return value
}

func (p *piper) note(in input, out output, done time.Duration) {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	p.h.operations = append(p.h.operations, porcupine.Operation{
		ClientId: p.id, Input: in, Call: int64(p.call), Output: out, Return: int64(done),
	})
}

// line reads one line, "" if there is none.
func (p *piper) line() string {
	if p.failed {
		return ""
	}
	line, err := p.replies.ReadString('\n')
	p.failed = err != nil
	return strings.TrimSuffix(line, "\r\n")
}

// value reads the answer to a get of one key: its value, "" if it is missing.
func (p *piper) value() (value string, answered bool) {
	line := p.line()
	if line == "END" {
		return "", true
	}
	if !strings.HasPrefix(line, "VALUE ") {
		return "", false
	}
	value = p.line()
	return value, p.line() == "END"
}
