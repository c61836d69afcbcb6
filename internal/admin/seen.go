package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// HotKeys is the answer of GET /hotkeys. Keys are escaped as in an URI: they may hold any
// bytes.
type HotKeys struct {
	ID       int      `json:"id"`       // of the server
	Counted  bool     `json:"counted"`  // false: the server does not look, or does not serve yet
	Sampling int      `json:"sampling"` // of how many keys one is looked at
	Keys     []HotKey `json:"keys"`     // the first one is asked for most
}

// HotKey is a key that is asked for often, with estimates of how often.
type HotKey struct {
	Key    string  `json:"key"`
	Reads  float64 `json:"readsPerSecond"`
	Writes float64 `json:"writesPerSecond"`
}

// SlowCommands is the answer of GET /slow.
type SlowCommands struct {
	ID         int           `json:"id"`
	FromMs     float64       `json:"fromMs"` // commands that take as long are slow; 0: none is kept
	SinceStart uint64        `json:"sinceStart"`
	Commands   []SlowCommand `json:"commands"` // the last ones, the newest first
}

// SlowCommand is a slow command, with what it has waited for. Causes may overlap, and not
// all that it has waited for is known.
type SlowCommand struct {
	At      time.Time          `json:"at"` // when it was answered
	Command string             `json:"command"`
	Key     string             `json:"key"` // escaped
	Ms      float64            `json:"ms"`
	Causes  map[string]float64 `json:"causesMs"`
}

// HotKeys asks the server at an admin port for its hot keys.
func (c *Client) HotKeys(ctx context.Context, addr string) (h *HotKeys, err error) {
	return h, c.getJSON(ctx, addr, "/hotkeys", &h)
}

// Slow asks the server at an admin port for its slow commands.
func (c *Client) Slow(ctx context.Context, addr string) (s *SlowCommands, err error) {
	return s, c.getJSON(ctx, addr, "/slow", &s)
}

func (c *Client) getJSON(ctx context.Context, addr, path string, into any) error {
	body, err := c.get(ctx, addr, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answers something else to %s: %w", addr, path, err)
	}
	return nil
}
