package page

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

// Bounds of the streams.
const (
	streamsMax = 16 // at a time; another one gets 503

	period     = time.Second            // between two snapshots
	freshFor   = period / 2             // what another stream has asked for so recently is as good
	askTimeout = 800 * time.Millisecond // for another server to answer
	ownTimeout = 700 * time.Millisecond // for this one, which may ask a majority first
	baseMax    = 10 * period            // an older sample says nothing of the rates of now

	writeTimeout = 5 * time.Second // for a browser to take a snapshot
)

//go:embed index.html page.js page.css icon.svg
var files embed.FS

// policy has a browser load and ask nothing but this port, and take no text for markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Config is what a page shows.
type Config struct {
	// Own returns the status of this server, with its figures.
	Own func(ctx context.Context) *admin.Status

	// NewClient returns a client that looks at the other servers. It is called when
	// somebody begins to watch, and the client is closed when nobody does any more.
	NewClient func() *admin.Client
}

// Page is a http.Handler.
type Page struct {
	config Config
	mux    *http.ServeMux
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu      sync.Mutex // of what is below
	streams int
	client  *admin.Client // nil while nobody watches

	gathering sync.Mutex // held while the servers are asked; of what is below, and taken first
	last      *overview.Sample
	begun     time.Time // when the servers were asked for last
	text      []byte    // the snapshot of last, as JSON
	known     []string  // admin ports of the others
}

// New returns a page. It is to be closed.
func New(c Config) *Page {
	p := &Page{config: c, mux: http.NewServeMux()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mux.HandleFunc("GET /events", p.stream)
	p.mux.Handle("GET /", http.FileServerFS(fs.FS(files)))
	return p
}

// Close ends all streams.
func (p *Page) Close() { p.cancel() }

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	p.mux.ServeHTTP(w, r)
}

// stream sends a snapshot each second until the browser goes or the server stops.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		http.Error(w, fmt.Sprintf("%d pages are open at this server, as many as may be: close one", streamsMax), http.StatusServiceUnavailable)
		return
	}
	defer p.leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	ctl := http.NewResponseController(w)
	if err := ctl.SetReadDeadline(time.Time{}); err != nil { // it lasts longer than a request
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		text, err := p.snapshot(ctx)
		if err != nil || ctx.Err() != nil {
			return
		}
		if err := ctl.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil { // JSON is one line
			return
		}
		if err := ctl.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// enter reports whether one more may watch.
func (p *Page) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams == streamsMax || p.ctx.Err() != nil {
		return false
	}
	p.streams++
	if p.client == nil {
		p.client = p.config.NewClient()
	}
	return true
}

// leave forgets what was kept for those who watch, with the last of them.
func (p *Page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams--; p.streams == 0 {
		p.client.Close()
		p.client = nil
	}
}

// snapshot returns what is known now, as JSON. Who comes while it is gathered waits for it.
func (p *Page) snapshot(ctx context.Context) ([]byte, error) {
	came := time.Now()
	p.gathering.Lock()
	defer p.gathering.Unlock()
	if p.last != nil && p.begun.After(came.Add(-freshFor)) {
		return p.text, nil
	}
	begun := time.Now()
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()
	own, replies := p.ask(ctx, client)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	before, now := p.last, &overview.Sample{At: time.Now(), Replies: replies}
	if before != nil && now.At.Sub(before.At) > baseMax {
		before = nil
	}
	text, err := json.Marshal(overview.NewSnapshot(before, now, own.ID, &overview.Starter{}))
	if err == nil {
		p.last, p.text, p.begun = now, text, begun
	}
	return text, err
}

// ask asks this server and, at once, those of the others that it named before; then those
// that it names now.
func (p *Page) ask(ctx context.Context, client *admin.Client) (own *admin.Status, replies []overview.Reply) {
	var asked sync.WaitGroup
	asked.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, ownTimeout)
		defer cancel()
		own = p.config.Own(ctx)
	})
	others := overview.Ask(ctx, figures{client}, askTimeout, p.known)
	asked.Wait()
	var missing []string
	named := othersOf(own)
	for _, addr := range named {
		i := slices.Index(p.known, addr)
		if i < 0 {
			missing = append(missing, addr)
			continue
		}
		replies = append(replies, others[i])
	}
	p.known = named
	replies = append(replies, overview.Ask(ctx, figures{client}, askTimeout, missing)...)
	return own, append(replies, overview.Reply{Status: own})
}

// othersOf returns the admin ports of the other servers.
func othersOf(own *admin.Status) (addrs []string) {
	self := ""
	for _, m := range own.Servers {
		if m.Self {
			self = m.AdminAddress
		}
	}
	for _, m := range own.Servers {
		if !m.Self && m.AdminAddress != "" && m.AdminAddress != self && slices.Index(addrs, m.AdminAddress) < 0 {
			addrs = append(addrs, m.AdminAddress)
		}
	}
	return addrs
}

// figures asks for a status with figures.
type figures struct{ client *admin.Client }

// Status implements overview.Asker.
func (f figures) Status(ctx context.Context, addr string) (*admin.Status, error) {
	return f.client.StatusWithFigures(ctx, addr)
}
