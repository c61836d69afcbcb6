package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// browserLimit is how long a page may take to show something.
const browserLimit = 30 * time.Second

// browser is a Chromium without a window, which is told what to do by DevTools' protocol,
// over two pipes: messages of JSON with a zero byte after each.
type browser struct {
	t       *testing.T
	to      *os.File
	session string // of the only page

	mu      sync.Mutex
	next    int
	waiting map[int]chan json.RawMessage
	gone    error    // why there are no more messages
	faults  []string // errors of the page, and of what it asked for
	asked   []string // URLs
}

// message is one of the protocol, in either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// startBrowser starts a browser until the test ends, or skips the test where there is none.
func startBrowser(ctx context.Context, t *testing.T) *browser {
	t.Helper()
	program := needProgram(t, "chromium", "chromium")
	in, to, err := os.Pipe()
	must(t, err)
	from, out, err := os.Pipe()
	must(t, err)
	cmd := exec.CommandContext(ctx, program, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--hide-scrollbars", "--disable-component-update", "--no-first-run", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{in, out} // 3 and 4, as the protocol has it
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	must(t, cmd.Start())
	must(t, errors.Join(in.Close(), out.Close()))
	b := &browser{t: t, to: to, waiting: map[int]chan json.RawMessage{}}
	var read sync.WaitGroup
	read.Go(func() { b.read(from) })
	t.Cleanup(func() {
		_ = b.send(&message{ID: -1, Method: "Browser.close"}) // it may have ended
		_ = cmd.Wait()                                        // as it likes
		read.Wait()
		_ = errors.Join(to.Close(), from.Close())
	})
	var target struct{ TargetID string }
	b.call(ctx, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call(ctx, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(ctx, domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) send(m *message) error {
	text, err := json.Marshal(m)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	return err
}

// read takes what the browser says until it ends.
func (b *browser) read(from *os.File) {
	messages := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := messages.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &m)
		}
		b.mu.Lock()
		if err != nil {
			b.gone = err
			for id, answer := range b.waiting {
				close(answer)
				delete(b.waiting, id)
			}
			b.mu.Unlock()
			return
		}
		if answer := b.waiting[m.ID]; m.ID > 0 && answer != nil {
			if m.Error != nil {
				m.Result = nil
				b.faults = append(b.faults, "the protocol: "+string(m.Error))
			}
			answer <- m.Result
			delete(b.waiting, m.ID)
		}
		b.note(&m, text)
		b.mu.Unlock()
	}
}

// note notes events that are faults, and what is asked for. The caller holds the lock.
func (b *browser) note(m *message, text []byte) {
	var p struct {
		Params struct {
			Type    string
			Entry   struct{ Level, Text, URL string }
			Request struct{ URL string }
		}
	}
	switch m.Method {
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled":
		b.faults = append(b.faults, string(text))
	case "Log.entryAdded":
		if json.Unmarshal(text[:len(text)-1], &p) == nil && p.Params.Entry.Level == "error" {
			b.faults = append(b.faults, p.Params.Entry.URL+": "+p.Params.Entry.Text)
		}
	case "Network.requestWillBeSent":
		if json.Unmarshal(text[:len(text)-1], &p) == nil {
			b.asked = append(b.asked, p.Params.Request.URL)
		}
	}
}

// call has the browser do something, and returns what comes of it.
func (b *browser) call(ctx context.Context, method string, params, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan json.RawMessage, 1)
	gone := b.gone
	if gone == nil {
		b.waiting[id] = answer
	}
	b.mu.Unlock()
	if gone != nil {
		b.t.Fatalf("%s: the browser has ended: %v", method, gone)
	}
	must(b.t, b.send(&message{ID: id, Method: method, Params: params, Session: b.session}))
	select {
	case text, ok := <-answer:
		if !ok || text == nil {
			b.t.Fatalf("%s: no result: %v, %q", method, b.gone, b.faults)
		}
		if result != nil {
			must(b.t, json.Unmarshal(text, result))
		}
	case <-ctx.Done():
		b.t.Fatalf("%s: %v", method, ctx.Err())
	}
}

// open opens a page.
func (b *browser) open(ctx context.Context, url string) {
	b.t.Helper()
	b.call(ctx, "Page.navigate", map[string]any{"url": url}, nil)
}

// text is what an expression of JavaScript is, as text.
func (b *browser) text(ctx context.Context, expression string) string {
	b.t.Helper()
	var got struct{ Result struct{ Value any } }
	b.call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got)
	return fmt.Sprint(got.Result.Value)
}

// await waits until an expression of JavaScript is a text that has all parts.
func (b *browser) await(ctx context.Context, expression string, parts ...string) {
	b.t.Helper()
	limited, cancel := context.WithTimeout(ctx, browserLimit)
	defer cancel()
	must(b.t, cluster.Await(limited, func() error {
		got := b.text(ctx, expression)
		for _, part := range parts {
			if !strings.Contains(got, part) {
				return fmt.Errorf("%s is %q, want %q in it; faults: %q", expression, got, part, b.faultsNow())
			}
		}
		return nil
	}))
}

func (b *browser) faultsNow() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.faults...)
}

// screen has the page shown at a size, in light or dark colors.
func (b *browser) screen(ctx context.Context, width, height int, scheme string) {
	b.t.Helper()
	b.call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call(ctx, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// photograph writes what is shown into the folder that TEST_RAFTCACHED_SHOTS names, if it
// does: people should look at it when the page changes.
func (b *browser) photograph(ctx context.Context, name string) {
	b.t.Helper()
	folder := os.Getenv("TEST_RAFTCACHED_SHOTS")
	if folder == "" {
		return
	}
	for _, s := range []struct {
		name          string
		width, height int
		scheme        string
	}{{"light", 1100, 900, "light"}, {"dark", 1100, 900, "dark"}, {"phone", 360, 740, "light"}} {
		b.screen(ctx, s.width, s.height, s.scheme)
		var shot struct{ Data []byte }
		b.call(ctx, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
		must(b.t, os.WriteFile(fmt.Sprintf("%s/%s-%s.png", folder, name, s.name), shot.Data, 0o644))
	}
}

// wantNoFaults fails if the page had an error, or asked another host for anything.
func (b *browser) wantNoFaults(host string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		b.t.Errorf("the page has an error: %s", fault)
	}
	if len(b.asked) == 0 {
		b.t.Error("it asked for nothing")
	}
	for _, asked := range b.asked {
		if u, err := url.Parse(asked); err != nil || u.Host != host {
			b.t.Errorf("it asked for %s, and is at %s", asked, host)
		}
	}
}
