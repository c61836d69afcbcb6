package node

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testclient"
	"raftcached/internal/transcript"

	"pgregory.net/rapid"
)

// usersOfTests has a user for every kind of limit.
const usersOfTests = "admin:a\nreader:r\ntenant:t\nguest:g\n[access]\nreader: read-only\ntenant: prefix=t: prefix=u\nguest: read-only prefix=t:\n"

// openWithUsers opens a lone node with usersOfTests.
func openWithUsers(t *testing.T) *Node {
	t.Helper()
	cfg := loneConfig(t)
	cfg.AuthFile = filepath.Join(t.TempDir(), "users")
	writeUsers(t, cfg.AuthFile, usersOfTests)
	return openNode(t, cfg)
}

// requestsOf encodes lines of a transcript.
func requestsOf(t rapid.TB, lines ...string) string {
	t.Helper()
	b, err := transcript.Parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return b.Requests()
}

// drawKey draws a key of the tenant, one of somebody else, or one that looks similar.
func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"t:a", "t:b", "u", "u1", "other:a", "other:b", "stale", "t", "T:a"}).Draw(t, "key")
}

// drawText draws a request of the text protocol, the classic and the meta commands.
func drawText(t *rapid.T) string {
	key, other := drawKey(t), drawKey(t)
	value := strings.Repeat("7", rapid.IntRange(0, 9).Draw(t, "length"))
	quiet := rapid.SampledFrom([]string{"", " noreply"}).Draw(t, "noreply")
	exptime := rapid.SampledFrom([]string{"0", "-1"}).Draw(t, "exptime")
	flags := strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(
		[]string{"c", "f", "s", "k", "v", "q", "T0", "N0", "R9", "E9", "I", "x", "C1", "C2", "J5", "D2", "MA", "ME", "MD", "F3", "Oo"}), 0, 6, rapid.ID[string]).Draw(t, "flags"), " ")
	store := rapid.SampledFrom([]string{"set", "add", "replace", "append", "prepend"}).Draw(t, "store")
	return rapid.SampledFrom([]string{
		fmt.Sprintf("C: %s %s 0 %s %d%s\nC: %s", store, key, exptime, len(value), quiet, value),
		fmt.Sprintf("C: %s %s 0 %s %d%s\nC: %s", store, key, exptime, len(value), quiet, value),
		fmt.Sprintf("C: cas %s 0 0 %d 2%s\nC: %s", key, len(value), quiet, value),
		"C: get " + key, "C: gets " + key + " " + other, "C: gat " + exptime + " " + key + " " + other, "C: touch " + key + " " + exptime + quiet,
		"C: delete " + key + quiet, "C: incr " + key + " 3" + quiet, "C: decr " + key + " 2",
		"C: mg " + key + " " + flags, "C: mg " + key + " " + flags, "C: md " + key + " " + flags, "C: ma " + key + " " + flags,
		fmt.Sprintf("C: ms %s %d %s\nC: %s", key, len(value), flags, value),
		"C: mg b3RoZXI6YQ== b v k", "C: md b3RoZXI6YQ== b q", "C: mg dDph b v k", // other:a, t:a
		"C: flush_all" + quiet, "C: cache_memlimit 100" + quiet, "C: verbosity 0" + quiet, "C: shutdown",
		"C: lru_crawler metadump 2", "C: lru_crawler enable", "C: watch", "C: stats reset", "C: stats detail on", "C: config get nonsense",
	}).Draw(t, "request")
}

// drawPacket draws a request of the binary protocol.
func drawPacket(t *rapid.T) string {
	key, quiet := drawKey(t), rapid.SampledFrom([]string{"", "q"}).Draw(t, "quiet")
	cas := rapid.SampledFrom([]string{"", " cas=1"}).Draw(t, "cas")
	value := strings.Repeat("7", rapid.IntRange(0, 9).Draw(t, "length"))
	exptime := rapid.SampledFrom([]string{"0", "0xffffffff"}).Draw(t, "exptime")
	store := rapid.SampledFrom([]string{"set", "add", "replace"}).Draw(t, "store")
	return rapid.SampledFrom([]string{
		"P: " + store + quiet + " flags=1 exptime=0 key=" + key + " value=" + value + cas,
		"P: append" + quiet + " key=" + key + " value=" + value, "P: prepend" + quiet + " key=" + key + " value=" + value + cas,
		"P: get" + quiet + " key=" + key, "P: getk" + quiet + " key=" + key,
		"P: gat" + quiet + " exptime=0 key=" + key, "P: gatk" + quiet + " exptime=0 key=" + key, "P: touch exptime=0 key=" + key,
		"P: delete" + quiet + " key=" + key + cas,
		"P: incr" + quiet + " delta=1 initial=5 exptime=" + exptime + " key=" + key, "P: decr" + quiet + " delta=1 initial=5 exptime=" + exptime + " key=" + key,
		"P: flush" + quiet, "P: verbosity level=0", "P: stat key=reset", "P: stat key=\"detail dump\"", "P: noop", "P: version",
	}).Draw(t, "packet")
}

// session sends what a client draws, as a user, and returns all answers. The last is
// that to a request which waits for all others.
func session(t *rapid.T, n *Node, user string, binary bool, requests []string) string {
	password := user[:1]
	lines := []string{fmt.Sprintf("C: set login 0 0 %d\nC: %s %s", len(user)+2, user, password)}
	end := "C: mn\nC: quit"
	if binary {
		lines, end = []string{`P: sasl_auth key=PLAIN value="\x00` + user + `\x00` + password + `"`}, "P: noop\nP: quit"
	}
	c, err := net.Dial("tcp", n.ClientAddrs()[0].String()) // a testclient takes no *rapid.T
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err = c.SetDeadline(time.Now().Add(testclient.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(c, requestsOf(t, append(append(lines, requests...), end)...)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	answers := string(all)
	last := "MN\r\n"
	if binary {
		last = requestsOf(t, "P: noop", "P: quit")
		last = strings.ReplaceAll(last, "\x80", "\x81")
	}
	if !strings.HasSuffix(answers, last) {
		t.Fatalf("%s: the answers end with %.300q: the connection is out of step", user, answers[max(0, len(answers)-300):])
	}
	return answers
}

// prepare stores other people's items, which secret decides, and one that is stale. Both
// secrets are stored by as many changes, so cas uniques tell nothing.
func prepare(t *rapid.T, n *Node, secret string) {
	absent := "other:b"
	if secret == "none" {
		absent = "filler"
	}
	answers := session(t, n, "admin", false, []string{
		"C: flush_all", "C: ms t:a 1\nC: 5", fmt.Sprintf("C: ms other:a %d F7\nC: %s", len(secret), secret), "C: ms " + absent + " 1\nC: 1",
		"C: ms stale 5 F3\nC: stale", "C: md stale I", "C: mn",
	})
	if want := "STORED\r\nOK\r\nHD\r\nHD\r\nHD\r\nHD\r\nHD\r\nMN\r\nMN\r\n"; answers != want {
		t.Fatalf("%q", answers)
	}
}

// others is what the others see of their items.
func others(t *rapid.T, n *Node) string {
	return session(t, n, "admin", false, []string{"C: mg other:a u v t c f", "C: mg other:b u v t c f", "C: mg filler u v t c f", "C: gets stale T:a t"})
}

// TestTenantsLearnNothing sends the same random requests of a user with prefixes to two
// servers, which differ in other people's items alone. The answers are the same, byte for
// byte, so they tell nothing of these items; and these are as they were.
func TestTenantsLearnNothing(t *testing.T) {
	first, second := openWithUsers(t), openWithUsers(t)
	rapid.Check(t, func(t *rapid.T) {
		binary, user := rapid.Bool().Draw(t, "binary"), rapid.SampledFrom([]string{"tenant", "guest"}).Draw(t, "user")
		draw := drawText
		if binary {
			draw = drawPacket
		}
		requests := rapid.SliceOfN(rapid.Custom(draw), 1, 100).Draw(t, "requests")
		prepare(t, first, "none")
		prepare(t, second, "a secret of other people")
		before := [2]string{others(t, first), others(t, second)}
		a, b := session(t, first, user, binary, requests), session(t, second, user, binary, requests)
		if a != b {
			t.Fatalf("with one secret the answers are\n%q, with another one\n%q", a, b)
		}
		if after := [2]string{others(t, first), others(t, second)}; after != before {
			t.Fatalf("other people's items were\n%q, and are\n%q", before, after)
		}
	})
}

// TestReadersChangeNothing sends random requests of a user who may only read: no entry
// comes into the raft log, and the state stays as it is.
func TestReadersChangeNothing(t *testing.T) {
	n := openWithUsers(t)
	rapid.Check(t, func(t *rapid.T) {
		binary, user := rapid.Bool().Draw(t, "binary"), rapid.SampledFrom([]string{"reader", "guest"}).Draw(t, "user")
		draw := drawText
		if binary {
			draw = drawPacket
		}
		requests := rapid.SliceOfN(rapid.Custom(draw), 1, 100).Draw(t, "requests")
		prepare(t, n, "secret")
		index, digest := n.replica.Digest()
		answers := session(t, n, user, binary, requests)
		if i, d := n.replica.Digest(); i != index || d != digest {
			t.Fatalf("the state of index %d became that of %d: digest %x, was %x; the answers were %q", index, i, d, digest, answers)
		}
	})
}

// TestReaderSeesStaleItems: it gets the item and that it is stale, and leaves it to others
// to fetch it again.
func TestReaderSeesStaleItems(t *testing.T) {
	n := openWithUsers(t)
	const admin, reader = "C: set login 0 0 7\nC: admin a\nS: STORED\n", "C: set login 0 0 8\nC: reader r\nS: STORED\n"
	const quit = "\nC: quit\nS: <closed>" // a replay ends with a command that readers may not give
	play(t, n, admin+"C: ms k 1\nC: x\nS: HD\nC: md k I\nS: HD")
	play(t, n, reader+"C: mg k v\nS: VA 1 X\nS: x\nC: mg k v R9\nS: CLIENT_ERROR write not allowed\nC: mg k v\nS: VA 1 X\nS: x"+quit)
	play(t, n, admin+"C: mg k v\nS: VA 1 X W\nS: x")
	play(t, n, reader+"C: mg k v\nS: VA 1 Z X\nS: x\nC: lru_crawler mgdump all\nS: OK\nS: mg k\nS: EN"+quit)
}

// TestLimitsAreReadAgain: what the file says of a user holds for who logs in from then on.
func TestLimitsAreReadAgain(t *testing.T) {
	n := openWithUsers(t)
	early := dial(t, n)
	early.Send("set login 0 0 8", "reader r")
	early.Expect("STORED")
	writeUsers(t, n.cfg.AuthFile, strings.Replace(usersOfTests, "reader: read-only\n", "", 1))
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	play(t, n, "C: set login 0 0 8\nC: reader r\nS: STORED\nC: set k 0 0 1\nC: x\nS: STORED")
	early.Send("set k 0 0 1", "y", "get k")
	early.Expect("CLIENT_ERROR write not allowed", "VALUE k 0 1", "x", "END")
}
