package admin

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// listen answers each connection with a text and closes it.
func listen(t *testing.T, text string) string {
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
			_, _ = c.Read(make([]byte, 1<<10))
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func TestWhyThereIsNoAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	closed := listen(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	const newer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"statusVersion\": 99}"
	for _, c := range []struct{ addr, want string }{
		{l.Addr().String(), "connection refused"},
		{silent.Addr().String(), "timeout"},
		{closed, "it closed the connection"},
		{listen(t, "ERROR\r\n"), "it does not speak HTTP: this is not an admin port"},
		{listen(t, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"), "is it the admin port?"},
		{listen(t, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>"), "answers something else than a status"},
		{listen(t, newer), "speaks version 99 of the status, this program 1"},
		{"no such name:1", "is no address: write host:port"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := new(Client).Status(ctx, c.addr)
		cancel()
		if err == nil || !strings.Contains(Why(err), c.want) {
			t.Errorf("%s: %v, want %q", c.addr, err, c.want)
		}
	}
}
