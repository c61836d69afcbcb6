package eventloop

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

// muchBytes is more than the buffers of two sockets hold.
const muchBytes = 16 << 20

// pattern returns n bytes that differ from their neighbours far and near.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

func TestInputStaysUntilItIsDiscarded(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		var seen [][]byte
		h := &hooks{readable: func(c Conn) {
			seen = append(seen, bytes.Clone(c.Peek()))
			c.Discard(c.Buffered() / 3)
		}}
		_, _, client := serve(t, h)
		for _, sent := range []string{"abcdefghi", "jkl"} {
			if _, err := io.WriteString(client, sent); err != nil {
				t.Fatal(err)
			}
			h.await(t, "readable")
		}
		if got := bytes.Join(seen, []byte{' '}); string(got) != "abcdefghi defghijkl" {
			t.Errorf("saw %q", got)
		}
	})
}

func TestAddressesAndDescriptor(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		h := &hooks{}
		l, e, client := serve(t, h)
		await(t, l, "the connection is open", func() bool { return h.c != nil })
		onLoop(l, func() {
			if h.c.RemoteAddr() != client.LocalAddr().String() || h.c.LocalAddr() != client.RemoteAddr().String() || h.c.FD() < 0 {
				t.Errorf("remote %s, local %s, descriptor %d", h.c.RemoteAddr(), h.c.LocalAddr(), h.c.FD())
			}
		})
		if ln := e.Listeners()[0]; ln.Addr.String() != client.RemoteAddr().String() || ln.FD < 0 {
			t.Errorf("listener %v, descriptor %d", ln.Addr, ln.FD)
		}
	})
}

// TestPauseStopsReading: what a client sends to a paused connection stays in the
// sockets, and comes when reading resumes.
func TestPauseStopsReading(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		var got bytes.Buffer
		hold := true
		h := &hooks{readable: func(c Conn) {
			if hold {
				c.Pause()
				return
			}
			got.Write(c.Peek())
			c.Discard(c.Buffered())
		}}
		l, _, client := serve(t, h)
		want := pattern(muchBytes)
		sent := make(chan error, 1)
		go func() {
			_, err := client.Write(want)
			sent <- err
		}()
		h.await(t, "readable")
		var paused int
		onLoop(l, func() { paused = h.c.Buffered() })
		for range 100 {
			onLoop(l, func() {
				if n := h.c.Buffered(); n != paused {
					t.Errorf("%d bytes were read, %d while paused", paused, n-paused)
				}
			})
		}
		select {
		case err := <-sent:
			t.Fatalf("the client could send everything to a paused connection (error %v)", err)
		default:
		}
		onLoop(l, func() {
			hold = false
			h.c.Resume()
		})
		await(t, l, "everything arrived", func() bool { return got.Len() == len(want) })
		if !bytes.Equal(got.Bytes(), want) {
			t.Error("other bytes arrived than were sent")
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// TestWriteDrains: what the client does not take at once leaves later, is not
// followed by reading before, and its end is reported.
func TestWriteDrains(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		want := pattern(muchBytes)
		h := &hooks{}
		h.readable = func(c Conn) {
			if c.Outbound() > 0 {
				t.Errorf("read while %d bytes waited for the client", c.Outbound())
			}
			if c.Buffered() > len("go") {
				return
			}
			half := len(want) / 2
			c.Write(want[:half])
			c.Write(nil)
			c.Write(want[half:])
			if c.Outbound() == 0 {
				t.Error("the sockets took everything")
			}
			c.NotifyOutbound(0)
		}
		h.writable = func(c Conn) {
			if n := c.Outbound(); n > 0 {
				t.Errorf("%d bytes wait for the client, want none", n)
			}
		}
		l, _, client := serve(t, h)
		if _, err := io.WriteString(client, "go"); err != nil {
			t.Fatal(err)
		}
		h.await(t, "readable")
		if _, err := io.WriteString(client, "on"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got other bytes than were written, error %v", err)
		}
		h.await(t, "writable")
		await(t, l, "the rest of the input arrived", func() bool { return string(h.c.Peek()) == "goon" })
	})
}

// TestNotifyAtALimit: Writable comes as soon as little enough waits.
func TestNotifyAtALimit(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		const limit = muchBytes - 1<<20
		h := &hooks{
			readable: func(c Conn) {
				c.Write(pattern(2 * muchBytes))
				c.NotifyOutbound(limit)
			},
			writable: func(c Conn) {
				if n := c.Outbound(); n == 0 || n > limit {
					t.Errorf("%d bytes wait for the client, want 1 to %d", n, limit)
				}
			},
		}
		_, _, client := serve(t, h)
		if _, err := io.WriteString(client, "go"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, client, 2*muchBytes-limit); err != nil {
			t.Fatal(err)
		}
		h.await(t, "writable")
	})
}

// TestOutputThatIsPausedStaysPaused: to write everything out does not undo Pause.
func TestOutputThatIsPausedStaysPaused(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		h := &hooks{
			readable: func(c Conn) {
				if c.Buffered() == 1 {
					c.Pause()
					c.Write(pattern(muchBytes))
					c.NotifyOutbound(0)
				}
			},
			writable: func(c Conn) { c.Pause() },
		}
		l, _, client := serve(t, h)
		if _, err := io.WriteString(client, "1"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, client, muchBytes); err != nil {
			t.Fatal(err)
		}
		h.await(t, "writable")
		if _, err := io.WriteString(client, "2"); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			onLoop(l, func() {
				if n := h.c.Buffered(); n != 1 {
					t.Errorf("%d bytes were read, want 1", n)
				}
			})
		}
		onLoop(l, func() { h.c.Resume() })
		await(t, l, "the second byte arrived", func() bool { return h.c.Buffered() == 2 })
	})
}

// TestHalfCloseDeliversAll: a client that has ended its input gets what is
// written during that event and after it, and what it had sent stays readable.
func TestHalfCloseDeliversAll(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		want := pattern(muchBytes)
		const early = 1000
		for name, during := range map[string]int{"written later": 0, "begun at once": early, "written at once": len(want)} {
			t.Run(name, func(t *testing.T) {
				h := &hooks{
					inputEnded: func(c Conn) { c.Write(want[:during]) },
					writable:   func(c Conn) { c.Close() },
				}
				l, e, client := serve(t, h)
				if _, err := io.WriteString(client, "question"); err != nil {
					t.Fatal(err)
				}
				if err := client.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				h.await(t, "input ended")
				onLoop(l, func() {
					if got := string(h.c.Peek()); got != "question" || h.c.Buffered() != len(got) || h.c.FD() < 0 {
						t.Errorf("input %q of %d bytes, descriptor %d", got, h.c.Buffered(), h.c.FD())
					}
					h.c.Discard(len("quest"))
					if got := string(h.c.Peek()); got != "ion" {
						t.Errorf("input %q, want %q", got, "ion")
					}
					h.c.Write(want[during:])
					h.c.NotifyOutbound(0)
				})
				got, err := io.ReadAll(client)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %d bytes, error %v, want %d", len(got), err, len(want))
				}
				h.await(t, "closed")
				onLoop(l, func() { // its turn is over
					if n := e.Counts().Open; n != 0 {
						t.Errorf("%d connections are open", n)
					}
				})
			})
		}
	})
}

// TestEndOfInputWithNothingToAnswer: the handler may close at once.
func TestEndOfInputWithNothingToAnswer(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		h := &hooks{inputEnded: func(c Conn) { c.Close() }}
		l, _, client := serve(t, h)
		endsWithoutAnswer(t, client, h)
		onLoop(l, func() { useClosed(h.c) })
	})
}

// endsWithoutAnswer ends a client's input, upon which its connection closes with nothing sent.
func endsWithoutAnswer(t *testing.T, client peer, h *hooks) {
	t.Helper()
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	h.await(t, "closed")
	h.await(t, "input ended")
	if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

// useClosed calls everything on a connection that has closed.
func useClosed(c Conn) {
	c.Write([]byte("x"))
	c.NotifyOutbound(0)
	c.Pause()
	c.Resume()
	c.Discard(c.Buffered())
	c.Close()
	if len(c.Peek()) > 0 || c.Outbound() > 0 || c.FD() != -1 {
		panic("a closed connection is in use")
	}
}

// TestCloseFromAPost: Closed is called once, before Close returns.
func TestCloseFromAPost(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		closed := 0
		h := &hooks{done: func(Conn) { closed++ }}
		l, e, client := serve(t, h)
		await(t, l, "the connection is open", func() bool { return h.c != nil })
		onLoop(l, func() {
			h.c.Close()
			if closed != 1 {
				t.Errorf("closed %d times when Close returned, want 1", closed)
			}
			useClosed(h.c)
		})
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read: %v, want %v", err, io.EOF)
		}
		onLoop(l, func() {
			if closed != 1 || e.Counts().Open != 0 {
				t.Errorf("closed %d times, %d connections are open", closed, e.Counts().Open)
			}
		})
	})
}

// TestWriteThatFailsCloses: before Write returns.
func TestWriteThatFailsCloses(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, serve serveFunc) {
		for name, halfClose := range map[string]bool{"open": false, "half closed": true} {
			t.Run(name, func(t *testing.T) {
				closed := false
				h := &hooks{done: func(Conn) { closed = true }}
				l, _, client := serve(t, h)
				if halfClose {
					if err := client.CloseWrite(); err != nil {
						t.Fatal(err)
					}
					h.await(t, "input ended")
				} else {
					await(t, l, "the connection is open", func() bool { return h.c != nil })
				}
				if err := client.SetLinger(0); err != nil { // close with a reset
					t.Fatal(err)
				}
				if err := client.Close(); err != nil {
					t.Fatal(err)
				}
				await(t, l, "the connection has closed", func() bool {
					h.c.Write([]byte("x"))
					return closed
				})
				onLoop(l, func() { useClosed(h.c) })
			})
		}
	})
}

// TestNoDescriptorForAHalfClosedConnection: it closes, and that is all. Many such are logged
// once.
func TestNoDescriptorForAHalfClosedConnection(t *testing.T) {
	h := &hooks{}
	h.inputEnded = func(c Conn) {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
		none := syscall.Rlimit{Cur: 0, Max: limit.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			t.Error(err)
		}
		defer func() {
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				t.Error(err)
			}
		}()
		c.Write([]byte("x"))
	}
	var log bytes.Buffer
	l := h.bind()
	e := newEngine(t, l, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		client := dial(t, e)
		endsWithoutAnswer(t, client, h)
	}
	e.StopAccepting()
	onLoop(l, func() {
		if got := log.String(); strings.Count(got, "keep a connection whose input has ended") != 1 {
			t.Errorf("it logs\n%s", got)
		}
	})
}
