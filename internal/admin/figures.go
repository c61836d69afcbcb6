package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Figures are what a server counts and measures while it serves. They are part of a Status
// if that is asked for: GET /status?figures. Counts are since its start.
type Figures struct {
	Reads       uint64 `json:"reads"` // keys that clients have asked for
	Hits        uint64 `json:"hits"`  // of these, that were found
	Writes      uint64 `json:"writes"`
	Evictions   uint64 `json:"evictions"`
	Connections uint64 `json:"connections"` // open now

	ReadLatency  Latency `json:"readLatency"`
	WriteLatency Latency `json:"writeLatency"`
	Commit       Latency `json:"commit"` // at the leader: from the proposal of an entry on
	Sync         Latency `json:"sync"`   // of the raft log

	// Elections is how many leaders have come in the last hour, as this server saw it.
	Elections int `json:"electionsInLastHour"`

	HotKeys []HotKey      `json:"hotKeys"` // as GET /hotkeys, the first ones
	Slow    []SlowCommand `json:"slow"`    // as GET /slow, the newest ones
	Events  []Event       `json:"events"`  // the last lines of its log, the newest last
}

// Latency is a distribution of durations: Counts[i] of them took at most UpToSeconds[i],
// and longer than the one before. Counts has one more, of those that took longer.
type Latency struct {
	UpToSeconds []float64 `json:"upToSeconds"`
	Counts      []uint64  `json:"counts"`
}

// Event is a line of the server log.
type Event struct {
	At    time.Time `json:"at"`
	Level string    `json:"level"` // INFO, WARN or ERROR
	Text  string    `json:"text"`
}

// StatusWithFigures is Status, with figures if the server serves and knows them.
func (c *Client) StatusWithFigures(ctx context.Context, addr string) (*Status, error) {
	return c.status(ctx, addr, "/status?figures")
}

func (c *Client) status(ctx context.Context, addr, path string) (*Status, error) {
	body, err := c.get(ctx, addr, path)
	if err != nil {
		return nil, err
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("%s answers something else than a status: %w", addr, err)
	}
	if s.StatusVersion != StatusVersion {
		return nil, fmt.Errorf("%s speaks version %d of the status, this program %d: use the raftcachectl of that server", addr, s.StatusVersion, StatusVersion)
	}
	return &s, nil
}
