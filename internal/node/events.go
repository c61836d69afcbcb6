package node

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"unicode"

	"raftcached/internal/admin"
)

// What is kept of the server log, for the page of the admin port and raftcachectl top.
const (
	eventsMax     = 50
	eventBytesMax = 300 // of a line; the rest is cut off
)

// events are the last lines of the server log that are no debugging.
type events struct {
	mu   sync.Mutex
	ring [eventsMax]admin.Event
	n    int // that have been written ever
}

func (e *events) add(event admin.Event) {
	if len(event.Text) > eventBytesMax {
		event.Text = strings.ToValidUTF8(event.Text[:eventBytesMax], "") + " …"
	}
	event.Text = strings.Map(printable, event.Text)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring[e.n%eventsMax] = event
	e.n++
}

// printable replaces what changes a terminal: texts may quote what strangers have sent, and
// raftcachectl top shows them.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return '·'
	}
	return r
}

// list returns them, the newest last.
func (e *events) list() []admin.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]admin.Event, 0, min(e.n, eventsMax))
	for i := max(0, e.n-eventsMax); i < e.n; i++ {
		list = append(list, e.ring[i%eventsMax])
	}
	return list
}

// keep returns a logger that writes to another one, and keeps the lines here. They are kept
// whatever the other one's level is.
func (e *events) keep(next *slog.Logger) *slog.Logger {
	return slog.New(&eventHandler{next: next.Handler(), events: e})
}

// eventHandler is a slog.Handler.
type eventHandler struct {
	next   slog.Handler
	events *events
	with   string // attributes that all lines have
}

// Enabled implements slog.Handler.
func (h *eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool {
			text += " " + a.String()
			return true
		})
		h.events.add(admin.Event{At: r.Time, Level: r.Level.String(), Text: text + h.with})
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := h.with
	for _, a := range attrs {
		with += " " + a.String()
	}
	return &eventHandler{h.next.WithAttrs(attrs), h.events, with}
}

// WithGroup implements slog.Handler.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{h.next.WithGroup(name), h.events, h.with}
}
