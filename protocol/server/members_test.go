package server

import (
	"fmt"
	"testing"
)

// Members implements Backend: this server and one more.
func (b *memory) Members(local string) (uint64, []Member) {
	return 3, []Member{{Host: "127.0.0.1", Port: 11211}, {Host: "cache.example", Port: 11212}}
}

// TestMembersAreListed: to the byte, because clients split and count the lines.
func TestMembersAreListed(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	list := "3\n127.0.0.1|127.0.0.1|11211 cache.example|cache.example|11212\n"
	config := fmt.Sprintf("CONFIG cluster 0 %d\r\n%s\r\nEND\r\n", len(list), list)
	value := fmt.Sprintf("VALUE AmazonElastiCache:cluster 0 %d\r\n%s\r\nEND\r\n", len(list), list)
	c.SendBytes("config get cluster\r\nconfig get cluster\nget AmazonElastiCache:cluster\r\n")
	c.ExpectBytes(config + config + value)
	c.Send("config get other", "get AmazonElastiCache:cluster a", "config set cluster", "version")
	c.Expect("ERROR", "END", "ERROR", "VERSION 1.6.45")
}

// TestMembersWaitForTheirTurn: in a pipeline the answer is in order.
func TestMembersWaitForTheirTurn(t *testing.T) {
	b := newMemory()
	b.hold()
	c := dial(t, start(t, b))
	c.Send("set a 0 0 1", "x", "config get other", "get a")
	b.awaitEvents(1)
	b.release()
	c.Expect("STORED", "ERROR", "VALUE a 0 1", "x", "END")
}
