package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"raftcached/internal/cluster"
)

// supervisor keeps servers running, as systemd does, while others kill them. It finds a
// fault if one ends by itself that was not told to.
type supervisor struct {
	mu      sync.Mutex // guards starts and kills of all servers, too
	wards   map[int]*ward
	stopped chan struct{}
	faults  []error
}

// ward is a server that is supervised.
type ward struct {
	*cluster.Server
	due time.Time // it is not started before

	// leaving is what it says when it ends because it is no member any more; empty: it
	// is to stay. left is closed when it has said so.
	leaving []string
	left    chan struct{}
}

// supervise keeps the servers that are put in its care running until the context ends.
func supervise(ctx context.Context) *supervisor {
	s := &supervisor{wards: map[int]*ward{}, stopped: make(chan struct{})}
	go func() {
		defer close(s.stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
				s.look()
			case <-ctx.Done():
			}
		}
	}()
	return s
}

// look starts what does not run.
func (s *supervisor) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, w := range s.wards {
		switch {
		case w.Running():
			w.due = time.Time{}
		case time.Now().Before(w.due):
		case w.Process() != nil && w.Process().ExitCode() >= 0 && w.due.IsZero(): // it has ended by itself
			delete(s.wards, id)
			s.ended(w)
		default:
			if err := w.Start(); err != nil {
				s.faults = append(s.faults, err)
			}
		}
	}
}

// ended judges the end of a server.
func (s *supervisor) ended(w *ward) {
	tail := w.LogTail()
	last := tail[strings.LastIndexByte(tail, '\n')+1:]
	for _, words := range w.leaving {
		if strings.Contains(last, words) && w.Process().ExitCode() == exitConfiguration {
			close(w.left)
			return
		}
	}
	s.faults = append(s.faults, fmt.Errorf("server %d has ended with exit code %d: %s", w.ID, w.Process().ExitCode(), tail))
}

// care has a server run from now on.
func (s *supervisor) care(server *cluster.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wards[server.ID] = &ward{Server: server, due: time.Now()}
}

// kill kills a server that is cared for, and starts it again later.
func (s *supervisor) kill(id int, down time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wards[id]
	if w == nil || !w.Running() {
		return nil
	}
	if err := w.Kill(); err != nil {
		return err
	}
	if w.Process().ExitCode() < 0 { // otherwise it had ended by itself
		w.due = time.Now().Add(down)
	}
	return nil
}

// destroy kills a server, and removes its folder.
func (s *supervisor) destroy(server *cluster.Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wards, server.ID)
	if err := server.Kill(); err != nil {
		return err
	}
	return os.RemoveAll(server.DataDir)
}

// leaves returns what is closed when a server has ended with one of the sentences.
func (s *supervisor) leaves(id int, sentences ...string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wards[id]
	if w == nil {
		return nil // a fault was found
	}
	w.leaving, w.left = sentences, make(chan struct{})
	return w.left
}

// fault returns what was found.
func (s *supervisor) fault() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}
