package server

import (
	"slices"
	"strings"
	"testing"

	"raftcached/internal/testclient"
	"raftcached/protocol"
)

// loginText is what a client of the text protocol sends to authenticate.
func loginText(user, password string) string {
	text := user + " " + password
	return "set login 0 0 " + string(rune('0'+len(text)/10)) + string(rune('0'+len(text)%10)) + "\r\n" + text + "\r\n"
}

// dialAs connects as a user of startLocked.
func dialAs(t *testing.T, s *Server, user, password string) *testclient.Client {
	t.Helper()
	c := dial(t, s)
	c.SendBytes(loginText(user, password))
	c.Expect("STORED")
	return c
}

// TestReaderChangesNothing: each request that changes something is answered with an
// error, or not at all if it wants no answer; then the connection goes on with the next
// request, and the backend was asked to write nothing.
func TestReaderChangesNothing(t *testing.T) {
	b := newMemory()
	b.items["a"] = storedItem{value: []byte("7")}
	s := start(t, b, func(o *Options) {
		o.Authenticator = users{"reader": "r"}
		o.Shutdown = func() { t.Error("the server is to stop") }
		o.SetVerbosity = func(int) { t.Error("the verbosity changes") }
	})
	c := dialAs(t, s, "reader", "r")
	const write, command = "CLIENT_ERROR write not allowed", "CLIENT_ERROR command not allowed"
	for _, test := range []struct{ want, request string }{
		{write, "set a 0 0 3\r\nxyz"},
		{"", "set a 0 0 3 noreply\r\nxyz"},
		{write, "set a 0 0 9\r\nflush_all"}, // its value is no command
		{"", "append a 0 0 0 noreply\r\n"},
		{write, "add b 0 0 1\r\nx"},
		{write, "replace a 0 0 1\r\nx"},
		{write, "prepend a 0 0 1\r\nx"},
		{write, "cas a 0 0 1 1\r\nx"},
		{write, "gat 0 a"},
		{write, "gats 0 a b"},
		{write, "touch a 1"},
		{"", "touch a -1 noreply"},
		{write, "delete a"},
		{"", "delete a noreply"},
		{write, "incr a 1"},
		{"", "decr a 1 noreply"},
		{write, "mg a T30 v"},
		{write, "mg b N30 v"},
		{write, "mg a R30 v q"},
		{write, "ms a 3 q\r\nxyz"},
		{write, "ms a 3 MA I\r\nxyz"},
		{write, "md a q"},
		{write, "md a I T5"},
		{write, "ma a q"},
		{write, "ma b N0 J5"},
		{write, "set a 0 0 1048577\r\n" + strings.Repeat("x", 1<<20+1)}, // would remove the old item
		{"", "set a 0 0 1048577 noreply\r\n" + strings.Repeat("x", 1<<20+1)},
		{command, "flush_all"},
		{"", "flush_all noreply"},
		{command, "cache_memlimit 100"},
		{command, "verbosity 2"},
		{"", "verbosity 2 noreply"},
		{command, "shutdown"},
		{command, "lru_crawler disable"},
		{command, "stats reset"},
		{command, "stats detail on"},
		{command, "refresh_certs"},
		{"CLIENT_ERROR watch commands not allowed", "watch"},
	} {
		c.Send(test.request, "mn")
		if test.want != "" {
			c.Expect(test.want)
		}
		c.Expect("MN")
	}
	c.Send("get a", "mg a v", "mg none v", "gets a none", "stats detail dump", "lru_crawler metadump 2", "config get none")
	c.Expect("VALUE a 0 1", "7", "END", "VA 1", "7", "EN", "VALUE a 0 1 0", "7", "END", "END", "OK", "END", "ERROR")
	for _, event := range b.events() {
		if strings.HasPrefix(event, "write") || strings.HasPrefix(event, "needs write") {
			t.Errorf("the backend has %q", event)
		}
	}
}

// TestTenantUsesItsKeys: a user with prefixes may do everything with keys that have one,
// and learns nothing of others.
func TestTenantUsesItsKeys(t *testing.T) {
	b := newMemory()
	b.items["a"] = storedItem{value: []byte("secret")}
	c := dialAs(t, startLockedOn(t, b), "tenant", "t")
	const key, command = "CLIENT_ERROR key not allowed", "CLIENT_ERROR command not allowed"
	for _, test := range []struct{ want, request string }{
		{"STORED", "set t:x 0 0 1\r\n5"},
		{"STORED", "add u 0 0 1\r\n5"}, // the prefix alone is a key
		{"6", "incr t:x 1"},
		{"VALUE t:x 0 1\r\n6\r\nVALUE u 0 1\r\n5\r\nEND", "get t:x u t:none"},
		{"TOUCHED", "touch t:x 0"},
		{"VALUE t:x 0 1\r\n6\r\nEND", "gat 0 t:x"},
		{"VA 1\r\n5", "mg dQ== b v"}, // u
		{"DELETED", "delete u"},

		{key, "set a 0 0 1\r\nx"},
		{"", "set a 0 0 1 noreply\r\nx"},
		{key, "set t 0 0 1\r\nx"}, // shorter than the prefix
		{key, "set T: 0 0 1\r\nx"},
		{key, "get a"},
		{key, "get t:x a"}, // nothing of it is shown
		{key, "get none"},
		{key, "gets t:x u a t:y"},
		{key, "gat 0 t:x a"}, // nothing of it is touched
		{key, "touch a 0"},
		{key, "delete a"},
		{"", "delete a noreply"},
		{key, "incr a 1"},
		{key, "cas a 0 0 1 1\r\nx"},
		{key, "mg a v q"},
		{key, "mg YQ== b v"}, // a
		{key, "mg a N30 v"},
		{key, "ms a 1 q\r\nx"},
		{key, "ms YQ== 1 b\r\nx"},
		{key, "md a q"},
		{key, "ma a N0"},
		{key, "me a"},
		{key, "me YQ== b"},
		{command, "flush_all"},
		{command, "cache_memlimit 100"},
		{command, "verbosity 0"},
		{command, "shutdown"},
		{command, "lru_crawler metadump all"},
		{command, "lru_crawler mgdump all"},
		{command, "lru_crawler enable"},
		{command, "stats cachedump 1 0"},
		{command, "stats detail dump"},
		{command, "stats conns"},
		{command, "stats hotkeys"},
		{command, "stats slow"},
		{command, "refresh_certs"},
		{command, "stats reset"},
		{command, "stats nonsense"},
		{"VERSION 1.6.45", "version"},
	} {
		c.Send(test.request, "mn")
		if test.want != "" {
			c.Expect(test.want)
		}
		c.Expect("MN")
	}
	if c.Stats("")["curr_items"] == "" || c.Stats("settings")["auth_enabled_ascii"] == "" || c.Stats("raft")["raft_state"] == "" {
		t.Error("a tenant may not see the statistics")
	}
	c.Send("get AmazonElastiCache:cluster", "config get cluster")
	if line := c.ReadLine(); !strings.HasPrefix(line, "VALUE AmazonElastiCache:cluster ") {
		t.Errorf("a tenant may not see the servers: %q", line)
	}
	for _, event := range b.events() {
		if strings.HasSuffix(event, " a") {
			t.Errorf("the backend was asked: %q", event)
		}
	}
}

// startLockedOn is startLocked on a backend.
func startLockedOn(t *testing.T, b *memory) *Server {
	t.Helper()
	return start(t, b, func(o *Options) {
		o.Authenticator, o.AuthFile = users{"tenant": "t", "reader": "r", "foo": "bar"}, "/etc/users"
	})
}

// TestLimitsInBinary: a refused packet is answered with the status of an authentication
// error, if it is quiet too, and the connection goes on.
func TestLimitsInBinary(t *testing.T) {
	b := newMemory()
	b.items["a"] = storedItem{value: []byte("7")}
	s := startLockedOn(t, b)
	store, delta, exptime := make([]byte, 8), make([]byte, 20), make([]byte, 4)
	refused := func(opcode byte) string { return answer(opcode, 0x20, 0, "Auth failure.") }
	login := func(user, password string) string { return packet(0x21, "PLAIN", "\x00"+user+"\x00"+password) }
	authenticated := answer(0x21, 0, 0, "Authenticated")
	writes := map[byte]string{}
	for _, opcode := range []byte{0x01, 0x02, 0x03, 0x11, 0x12, 0x13} {
		writes[opcode] = packet(opcode, "a", "x", store...)
	}
	for _, opcode := range []byte{0x0e, 0x0f, 0x19, 0x1a} {
		writes[opcode] = packet(opcode, "a", "x")
	}
	for _, opcode := range []byte{0x05, 0x06, 0x15, 0x16} {
		writes[opcode] = packet(opcode, "a", "", delta...)
	}
	for _, opcode := range []byte{0x1c, 0x1d, 0x1e, 0x23, 0x24} {
		writes[opcode] = packet(opcode, "a", "", exptime...)
	}
	writes[0x04], writes[0x14] = packet(0x04, "a", ""), packet(0x14, "a", "")
	whole := map[byte]string{0x08: packet(0x08, "", ""), 0x18: packet(0x18, "", ""), 0x1b: packet(0x1b, "", "", exptime...), 0x10: packet(0x10, "reset", "")}
	reads := map[byte]string{}
	for _, opcode := range []byte{0x00, 0x09, 0x0c, 0x0d} {
		reads[opcode] = packet(opcode, "a", "")
	}
	for user, packets := range map[string][]map[byte]string{"reader r": {writes, whole}, "tenant t": {writes, whole, reads}} {
		name, password, _ := strings.Cut(user, " ")
		c := dial(t, s)
		c.SendBytes(login(name, password))
		c.ExpectBytes(authenticated)
		for opcode, sent := range joined(packets) {
			c.SendBytes(sent + packet(0x0a, "", ""))
			c.ExpectBytes(refused(opcode) + answer(0x0a, 0, 0, ""))
		}
		// The limits are those of the last login.
		c.SendBytes(login("foo", "bar") + packet(0x10, "reset", "") + login(name, password) + packet(0x10, "reset", ""))
		c.ExpectBytes(authenticated + answer(0x10, 0, 0, "") + authenticated + refused(0x10))
	}
	if events := b.events(); slices.ContainsFunc(events, func(e string) bool { return strings.HasSuffix(e, " a") }) {
		t.Errorf("the backend was asked for %q", events)
	}
}

// joined is all packets by their number.
func joined(packets []map[byte]string) map[byte]string {
	all := map[byte]string{}
	for _, m := range packets {
		for opcode, sent := range m {
			all[opcode] = sent
		}
	}
	return all
}

// TestRefusalsKeepTheirPlace: a refused request is answered after the writes before it,
// which are still on their way.
func TestRefusalsKeepTheirPlace(t *testing.T) {
	b := newMemory()
	s := startLockedOn(t, b)
	c := dialAs(t, s, "tenant", "t")
	b.hold()
	c.Send("set t:x 0 0 1", "5", "set a 0 0 1", "5", "get t:x")
	awaitConn(t, s, "the refusal waits for the write", func(c *conn) bool { return c.wait == waitWrites })
	b.release()
	c.Expect("STORED", "CLIENT_ERROR key not allowed", "VALUE t:x 0 1", "5", "END")
}

// TestLimitsAllocateNothing: neither of what is allowed nor of what is refused.
func TestLimitsAllocateNothing(t *testing.T) {
	f := openFake(silent{}, strings.Repeat("get a a\r\nget none\r\nmg a v\r\ntouch a 0\r\nflush_all\r\nstats reset\r\n", 10))
	f.c.access = access{limited: true, readOnly: true, prefixes: [][]byte{[]byte("b"), []byte("a")}}
	f.turn()
	if n := strings.Count(string(f.wrote), "not allowed"); n != 40 {
		t.Fatalf("%d requests are refused, want 40", n)
	}
	if n := testing.AllocsPerRun(100, f.turn); n != 0 {
		t.Errorf("60 requests in a turn: %v allocations, want 0", n)
	}
}

// TestReaderDoesNotWin: even if the backend says that a read has to be written, it is not.
func TestReaderDoesNotWin(t *testing.T) {
	f := openFake(newMemory(), "")
	f.c.access = access{limited: true, readOnly: true}
	req := &protocol.Request{Command: protocol.MetaGet, Key: []byte("none"), Vivify: 1, Form: protocol.Form{Codec: protocol.Meta}}
	req.Fields = ^req.Fields
	f.c.look(req, nil)
	if got := string(f.c.out.replies); got != notAllowedWrite {
		t.Errorf("it is answered %q, want %q", got, notAllowedWrite)
	}
}
