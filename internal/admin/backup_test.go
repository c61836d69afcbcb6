package admin

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestBackupStreams reads a backup to its end, and one that fails before its first
// byte and in its middle.
func TestBackupStreams(t *testing.T) {
	n := &fakeNode{}
	addr := serve(t, n)
	var c Client
	defer c.Close()
	n.backup = func(w io.Writer) error {
		for range 3 {
			if _, err := w.Write(bytes.Repeat([]byte("b"), 100<<10)); err != nil {
				return err
			}
		}
		return nil
	}
	read := func() (int, error) {
		body, err := c.Backup(t.Context(), addr)
		if err != nil {
			return 0, err
		}
		defer func() { _ = body.Close() }() // it was read
		b, err := io.ReadAll(body)
		return len(b), err
	}
	if got, err := read(); err != nil || got != 300<<10 {
		t.Fatalf("%d bytes, %v", got, err)
	}
	n.backup = func(io.Writer) error { return errors.New("another backup is being read") }
	if _, err := read(); err == nil || err.Error() != "another backup is being read" {
		t.Fatalf("error %v", err)
	}
	n.backup = func(w io.Writer) error {
		_, err := w.Write(make([]byte, 100<<10))
		return errors.Join(err, errors.New("the snapshot is damaged"))
	}
	if got, err := read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%d bytes of a backup that failed, %v", got, err)
	}
}

// TestRestoreSteps: a step with the largest item passes, a refusal is one, and other
// errors are none.
func TestRestoreSteps(t *testing.T) {
	n := &fakeNode{}
	addr := serve(t, n)
	var c Client
	defer c.Close()
	n.restore = func(s *RestoreStep) (uint64, error) {
		switch s.Step {
		case RestoreItems:
			return s.First + uint64(len(s.Chunks[0])), nil
		case RestoreEnd:
			return 0, &RefusedError{Reason: "the cluster is not new"}
		}
		return 0, errors.New("no majority")
	}
	large := &RestoreStep{Step: RestoreItems, ID: 1<<63 + 1, First: 1<<63 + 1, Chunks: [][]byte{make([]byte, 8<<20+300<<10)}}
	if chunks, err := c.Restore(t.Context(), addr, large); err != nil || chunks != large.First+uint64(len(large.Chunks[0])) {
		t.Fatalf("%d, %v", chunks, err)
	}
	var refusal *RefusedError
	if _, err := c.Restore(t.Context(), addr, &RestoreStep{Step: RestoreEnd}); !errors.As(err, &refusal) || refusal.Reason != "the cluster is not new" {
		t.Fatalf("error %v", err)
	}
	if _, err := c.Restore(t.Context(), addr, &RestoreStep{Step: RestoreBegin}); errors.As(err, &refusal) || err == nil || err.Error() != "no majority" {
		t.Fatalf("error %v", err)
	}
	json := map[string]string{"Content-Type": "application/json"}
	if code, body := ask(t, http.MethodPost, "http://"+addr+"/restore", json, `{"first":-1}`); code != http.StatusBadRequest || !strings.Contains(body, "no step of a restore") {
		t.Fatalf("%d %q", code, body)
	}
	if code, _ := ask(t, http.MethodGet, "http://"+addr+"/backup", nil, ""); code != http.StatusMethodNotAllowed && code != http.StatusNotFound {
		t.Fatalf("GET /backup: %d", code)
	}
}
