package importer

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"raftcached"
	"raftcached/internal/cluster"
	"raftcached/raftcachedtest"
)

// testLimit bounds how long a test waits for anything.
const testLimit = 2 * time.Minute

// startMemcached starts a real memcached until the test ends.
func startMemcached(ctx context.Context, t *testing.T, args ...string) *cluster.Memcached {
	t.Helper()
	cluster.NeedMemcached(t)
	m, err := cluster.StartMemcached(ctx, t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// open connects to a server until the test ends.
func open(ctx context.Context, t *testing.T, addr string) *conn {
	t.Helper()
	c, err := dial(ctx, addr, nil, Login{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// answerTo sends one request and returns its answer's first line, and the value if it
// has one.
func answerTo(t *testing.T, c *conn, request string) (line, value string) {
	t.Helper()
	if err := c.send([]byte(request)); err != nil {
		t.Fatal(err)
	}
	return readItem(t, c)
}

// readItem reads a line, and the value if it has one.
func readItem(t *testing.T, c *conn) (line, value string) {
	t.Helper()
	text, err := c.line()
	if err != nil {
		t.Fatal(err)
	}
	line = string(text)
	if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VA" {
		size, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size+2)
		if _, err := io.ReadFull(c.in, data); err != nil {
			t.Fatal(err)
		}
		value = string(data[:size])
	}
	return line, value
}

// TestImportOfManyItems copies 100,000 items of mixed times to live, flags, sizes and
// kinds of keys into three servers: all of them arrive.
func TestImportOfManyItems(t *testing.T) {
	if testing.Short() {
		t.Skip("moves many items: not in a short run")
	}
	const items = 100_000
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	m := startMemcached(ctx, t, "-m", "256")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	source := open(ctx, t, m.Addr)
	var requests bytes.Buffer
	for i := range items {
		key, flags := keyOf(i)
		ttl := ""
		if seconds := secondsOf(i); seconds >= 0 {
			ttl = fmt.Sprint(" T", seconds)
		}
		value := strings.Repeat(strconv.Itoa(i), 1+rnd.IntN(20))
		if i%5_000 == 0 {
			value = strings.Repeat("x", 500_000)
		}
		fmt.Fprintf(&requests, "ms %s %d%s F%d%s\r\n%s\r\n", key, len(value), flags, i, ttl, value)
		if requests.Len() > 1<<20 || i == items-1 {
			if err := source.send(append(requests.Bytes(), "mn\r\n"...)); err != nil {
				t.Fatal(err)
			}
			for {
				line, err := source.line()
				if err != nil {
					t.Fatal(err)
				}
				if string(line) == "MN" {
					break
				}
				if string(line) != "HD" {
					t.Fatalf("memcached answers %q", line)
				}
			}
			requests.Reset()
		}
	}
	target := raftcachedtest.Start(t, 3, func(c *raftcached.Config) { c.MemoryLimitBytes = 256 << 20 })
	im := &Import{From: m.Addr, To: target.Addrs()}
	begin := time.Now()
	if err := im.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if p := im.Progress(); p.Stored != items || p.Listed != items || p.Gone+p.Failed != 0 {
		t.Fatalf("progress is %+v, want %d items", p, items)
	}
	check := open(ctx, t, target.Addr(1))
	const batch = 500
	for first := 0; first < items; first += batch {
		for i := first; i < first+batch; i++ {
			key, flags := keyOf(i)
			requests.WriteString("mg " + key + flags + " v f t\r\n")
		}
		if err := errors.Join(source.send(requests.Bytes()), check.send(requests.Bytes())); err != nil {
			t.Fatal(err)
		}
		requests.Reset()
		for i := first; i < first+batch; i++ {
			want, wantValue := readItem(t, source)
			got, value := readItem(t, check)
			if value != wantValue || !sameItem(got, want, time.Since(begin)) {
				t.Fatalf("item %d is %q with %d bytes, in memcached %q with %d", i, got, len(value), want, len(wantValue))
			}
		}
	}
}

// keyOf returns the key of an item as a meta command takes it, and its flags.
func keyOf(i int) (key, flags string) {
	switch i % 4 {
	case 0:
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "binary \x00\n%d", i)), " b"
	case 1:
		return fmt.Sprintf("k%%41=é+&%d", i), ""
	case 2:
		return strings.Repeat("l", 240) + strconv.Itoa(i), ""
	}
	return "key" + strconv.Itoa(i), ""
}

// secondsOf returns the time to live of an item, -1 for ever.
func secondsOf(i int) int64 {
	switch i % 7 {
	case 0, 1:
		return -1
	case 2:
		return relativeSecondsMax
	case 3: // of more than thirty days, as the time of its end
		return time.Now().Unix() + 5*relativeSecondsMax
	}
	return 600 + int64(i)
}

// sameItem compares the lines of two items. The clock of a cluster to which nobody
// writes may stand still: the times to live may differ by what has passed.
func sameItem(got, want string, passed time.Duration) bool {
	g, w := strings.Fields(got), strings.Fields(want)
	if len(g) != 4 || len(w) != 4 || g[1] != w[1] || g[2] != w[2] {
		return false
	}
	a, errA := strconv.Atoi(g[3][1:])
	b, errB := strconv.Atoi(w[3][1:])
	secondsMax := int(passed.Seconds()) + 2
	return errA == nil && errB == nil && (a == b || a > 0 && b > 0 && max(a-b, b-a) <= secondsMax)
}

// TestImportOfOddItems: what is stale stays so, what is too large is refused and
// named, what has no key in the text protocol too, and the end of a time to live is no
// eternity.
func TestImportOfOddItems(t *testing.T) {
	if testing.Short() {
		t.Skip("moves many items: not in a short run")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	m := startMemcached(ctx, t, "-I", "2m")
	source := open(ctx, t, m.Addr)
	large := strings.Repeat("x", 1_500_000)
	for _, c := range []struct{ request, want string }{
		{"ms stale 1 F9 T500\r\nx\r\n", "HD"},
		{"md stale I T400\r\n", "HD"},
		{fmt.Sprintf("ms large %d\r\n%s\r\n", len(large), large), "HD"},
		{"ms empty 0\r\n\r\n", "HD"},
	} {
		if line, _ := answerTo(t, source, c.request); line != c.want {
			t.Fatalf("%.20q: %q, want %q", c.request, line, c.want)
		}
	}
	target := raftcachedtest.Start(t, 1)
	im := &Import{From: m.Addr, To: target.Addrs()}
	if err := im.Run(ctx); err != nil {
		t.Fatal(err)
	}
	p := im.Progress()
	if p.Listed != 3 || p.Stored != 2 || p.Failed != 1 || p.Failure != `"large": SERVER_ERROR object too large for cache` {
		t.Errorf("progress is %+v", p)
	}
	check := open(ctx, t, target.Addr(0))
	if line, value := answerTo(t, check, "mg stale v f\r\n"); line != "VA 1 f9 W X" && line != "VA 1 f9 X W" || value != "x" {
		t.Errorf("the stale item is %q, %q", line, value)
	}
	if line, _ := answerTo(t, check, "mg empty v f t\r\n"); line != "VA 0 f0 t-1" {
		t.Errorf("the empty item is %q", line)
	}
}

// TestRequests: a time to live that is over is none of for ever, and one of more
// than thirty days is a time of the clock.
func TestRequests(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		item fetched
		want string
	}{
		{fetched{key: []byte("k"), flags: "7", seconds: -1, value: []byte("v\r\n")}, "ms k 1 F7\r\nv\r\n"},
		{fetched{key: []byte("k"), flags: "0", seconds: 5, value: []byte("\r\n")}, "ms k 0 F0 T5\r\n\r\n"},
		{fetched{key: []byte("k"), flags: "0", seconds: 2592000, value: []byte("\r\n")}, "ms k 0 F0 T2592000\r\n\r\n"},
		{fetched{key: []byte("k"), flags: "0", seconds: 2592001, value: []byte("\r\n")}, "ms k 0 F0 T1802592001\r\n\r\n"},
		{fetched{key: []byte("k"), flags: "0", seconds: 1 << 30, value: []byte("\r\n")}, "ms k 0 F0 T2147483647\r\n\r\n"},
		{fetched{key: []byte("a b"), flags: "0", seconds: 9, stale: true, value: []byte("v\r\n")}, "ms YSBi 1 b F0 T9\r\nv\r\nmd YSBi b I T9\r\n"},
	} {
		if got := string(c.item.store(now).request); got != c.want {
			t.Errorf("%+v is stored by %q, want %q", c.item, got, c.want)
		}
	}
	if _, _, ok := appendKey(nil, bytes.Repeat([]byte{' '}, 200)); ok {
		t.Error("a binary key of 200 bytes has 268 in base64, and was accepted")
	}
}

// TestListing: lines of old and new versions, and what is no listing.
func TestListing(t *testing.T) {
	for _, c := range []struct{ answer, keys, err string }{
		{"OK\r\nkey=a%20b exp=-1 la=1 cas=2 fetch=no cls=1 size=67 flags=7 \nkey=c exp=5\nEND\r\n", "a b|c", ""},
		{"key=%00%C3%A9 exp=-1 la=1 cas=2 fetch=no cls=1 size=67\nEND\r\n", "\x00é", ""},
		{"END\r\n", "", ""},
		{"BUSY currently processing crawler request\r\n", "", "busy with another crawl"},
		{"CLIENT_ERROR lru crawler disabled\r\n", "", "refuses lru_crawler metadump: CLIENT_ERROR lru crawler disabled"},
		{"key=%zz exp=-1\nEND\r\n", "", "has no key"},
		{"key=a exp=-1\n", "", "EOF"},
		{"key=" + strings.Repeat("a", 251) + " exp=-1\nEND\r\n", "", "has no key"},
	} {
		im := &Import{From: answering(t, c.answer)}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		all, err := im.list(ctx)
		cancel()
		var got []string
		if err == nil {
			for i := range all.len() {
				got = append(got, string(all.at(i)))
			}
		}
		switch {
		case c.err == "" && (err != nil || strings.Join(got, "|") != c.keys):
			t.Errorf("%q lists %q, %v", c.answer, got, err)
		case c.err != "" && err == nil:
			t.Errorf("%q lists %q, want an error", c.answer, got)
		case c.err != "" && !strings.Contains(c.err, "busy") && !strings.Contains(err.Error(), c.err):
			t.Errorf("%.40q: error %q, want %q", c.answer, err, c.err)
		}
	}
}

// answering gives each request line an answer; it returns the address.
func answering(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for {
					if _, err := c.Read(make([]byte, 1<<10)); err != nil {
						return
					}
					if _, err := c.Write([]byte(answer)); err != nil || strings.HasSuffix(answer, "=-1\n") {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
