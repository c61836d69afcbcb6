package server

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawRequest draws one request of a client. Few keys make conflicts likely.
func drawRequest(t *rapid.T) string {
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	quiet := rapid.SampledFrom([]string{"", " noreply"}).Draw(t, "noreply")
	value := strings.Repeat("7", rapid.IntRange(0, 12).Draw(t, "length"))
	switch command := rapid.SampledFrom([]string{
		"get", "get", "gets", "gat", "set", "set", "add", "append", "cas", "touch", "delete", "incr", "flush_all", "version", "bogus",
	}).Draw(t, "command"); command {
	case "get", "gets":
		return fmt.Sprintf("%s %s b a\r\n", command, key)
	case "gat":
		return fmt.Sprintf("gat 0 %s c\r\n", key)
	case "set", "add", "append":
		return fmt.Sprintf("%s %s 3 0 %d%s\r\n%s\r\n", command, key, len(value), quiet, value)
	case "cas":
		return fmt.Sprintf("cas %s 0 0 %d %d%s\r\n%s\r\n", key, len(value), rapid.IntRange(1, 9).Draw(t, "unique"), quiet, value)
	case "touch":
		return fmt.Sprintf("touch %s 0%s\r\n", key, quiet)
	case "incr":
		return fmt.Sprintf("incr %s 5%s\r\n", key, quiet)
	case "delete":
		return fmt.Sprintf("delete %s%s\r\n", key, quiet)
	case "flush_all":
		return "flush_all" + quiet + "\r\n"
	default:
		return command + "\r\n"
	}
}

// TestRepliesDoNotDependOnTiming sends random pipelines, cut at random places, to
// servers whose backends answer at once, later, one by one, or on another goroutine.
// All replies must be the same.
func TestRepliesDoNotDependOnTiming(t *testing.T) {
	type subject struct {
		name string
		b    *memory
		s    *Server
	}
	var subjects []subject
	for name, mode := range modes {
		b := newMemory()
		mode(t, b)
		subjects = append(subjects, subject{name, b, start(t, b)})
	}
	rapid.Check(t, func(rt *rapid.T) {
		pipeline := strings.Join(rapid.SliceOfN(rapid.Custom(drawRequest), 1, 60).Draw(rt, "requests"), "") + "quit\r\n"
		cuts := rapid.SliceOfN(rapid.IntRange(1, 200), 0, 8).Draw(rt, "cuts")
		halfClose := rapid.Bool().Draw(rt, "half close")
		var want string
		for i, x := range subjects {
			x.b.set(func(b *memory) { b.cas = 0; clear(b.items) })
			c := dial(t, x.s)
			rest := pipeline
			for _, n := range cuts {
				n = min(n, len(rest))
				c.SendBytes(rest[:n])
				rest = rest[n:]
			}
			c.SendBytes(rest)
			if halfClose {
				_ = c.CloseWrite() // the server may have closed already, after quit
			}
			replies, err := io.ReadAll(c)
			if err != nil {
				rt.Fatalf("%s: %v", x.name, err)
			}
			_ = c.Close()
			if i == 0 {
				want = string(replies)
			} else if string(replies) != want {
				rt.Fatalf("%s answers\n%q, but %s\n%q", x.name, replies, subjects[0].name, want)
			}
		}
	})
}
