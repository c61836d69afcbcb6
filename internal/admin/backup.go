package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// restoreBytesMax bounds a step of a restore: a chunk with the largest item, in base64.
const restoreBytesMax = 16 << 20

// Backups is the part of a Node that backups need.
type Backups interface {
	// Backup writes a backup that holds everything that was acknowledged before. An
	// error before the first byte says why there is none.
	Backup(ctx context.Context, w io.Writer) error
	// Restore does one step of a restore and returns how many chunks there are by now.
	// A *RefusedError says that it would not help to try again.
	Restore(ctx context.Context, s *RestoreStep) (chunks uint64, err error)
}

// RestoreStep is one step of a restore. Each may be repeated.
type RestoreStep struct {
	Step string `json:"step"` // one of the constants Restore…

	Plan   []byte   `json:"plan,omitempty"`   // RestoreBegin: an engine.FillPlan, encoded
	ID     uint64   `json:"id,omitempty"`     // of the plan, afterwards
	First  uint64   `json:"first,omitempty"`  // RestoreItems: number of the first chunk
	Chunks [][]byte `json:"chunks,omitempty"` // RestoreItems
}

// The steps of a restore.
const (
	RestoreBegin   = "begin"
	RestoreItems   = "items"
	RestoreEnd     = "end"
	RestoreAbandon = "abandon"
)

// RefusedError is an error that stays when the same is asked again.
type RefusedError struct {
	Reason    string
	Forbidden bool // whoever asks may not; another server may let it
}

// Error implements error.
func (r *RefusedError) Error() string { return r.Reason }

// restoreAnswer is the answer to a step.
type restoreAnswer struct {
	Chunks uint64 `json:"chunks"`
}

// begun notes that something was written, and gives each write its time.
type begun struct {
	w     io.Writer
	ctl   *http.ResponseController
	bytes int64
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	if err := b.ctl.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := b.w.Write(p)
	b.bytes += int64(n)
	if err == nil {
		err = b.ctl.Flush()
	}
	return n, err
}

// backup streams a backup. When it fails in the middle the connection is cut: a
// backup without an end is none.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	out := &begun{w: w, ctl: http.NewResponseController(w)}
	// It takes longer than a request may otherwise; the client may go, which ends it.
	if err := out.ctl.SetReadDeadline(time.Time{}); err != nil {
		answer(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	err := s.node.Backup(r.Context(), out)
	switch {
	case err == nil:
	case out.bytes == 0:
		_ = out.ctl.SetWriteDeadline(time.Now().Add(writeTimeout)) // it was possible before
		answer(w, http.StatusServiceUnavailable, err.Error())
	default:
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) restore(w http.ResponseWriter, r *http.Request) {
	var step RestoreStep
	if err := json.NewDecoder(r.Body).Decode(&step); err != nil {
		answer(w, http.StatusBadRequest, fmt.Sprintf("the body is no step of a restore: %v", err))
		return
	}
	chunks, err := s.node.Restore(r.Context(), &step)
	var refusal *RefusedError
	switch {
	case errors.As(err, &refusal):
		answer(w, http.StatusConflict, refusal.Reason)
	case err != nil:
		answer(w, http.StatusServiceUnavailable, err.Error())
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(restoreAnswer{chunks}) // the client may be gone
	}
}

// limitBody bounds the bodies of requests.
func limitBody(next http.Handler) http.Handler {
	small, large := http.MaxBytesHandler(next, bodyBytesMax), http.MaxBytesHandler(next, restoreBytesMax)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/restore" {
			large.ServeHTTP(w, r)
			return
		}
		small.ServeHTTP(w, r)
	})
}

// Backup asks the admin port at host:port for a backup, which is to be read from the
// answer and closed. The first byte may take as long as the server takes to write a
// snapshot.
func (c *Client) Backup(ctx context.Context, addr string) (io.ReadCloser, error) {
	resp, err := c.post(ctx, addr, "/backup", struct{}{})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Restore does one step of a restore. A *RefusedError says that it would not help to try
// again.
func (c *Client) Restore(ctx context.Context, addr string, s *RestoreStep) (chunks uint64, err error) {
	resp, err := c.post(ctx, addr, "/restore", s)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	var a restoreAnswer
	if err := json.NewDecoder(io.LimitReader(resp.Body, statusBytesMax)).Decode(&a); err != nil {
		return 0, fmt.Errorf("%s answers something else than the outcome of a step: %w", addr, err)
	}
	return a.Chunks, nil
}
