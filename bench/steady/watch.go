//go:build linux

package steady

import (
	"context"
	"path/filepath"
	"sync"
	"time"
)

// watchGap is the interval at which files are looked for.
const watchGap = 5 * time.Millisecond

// Watcher notes when there are files, like those of unfinished snapshots.
type Watcher struct {
	patterns []string
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	windows  []Window
}

// Watch looks for files of patterns, as filepath.Match has them, until Stop.
func Watch(ctx context.Context, patterns ...string) *Watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watcher{patterns: patterns, cancel: cancel}
	w.wg.Go(func() {
		ticker := time.NewTicker(watchGap)
		defer ticker.Stop()
		for going := false; ; {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker.C:
				was := going
				if going = w.exist(); going {
					w.note(now, was)
				}
			}
		}
	})
	return w
}

func (w *Watcher) exist() bool {
	for _, pattern := range w.patterns {
		if names, err := filepath.Glob(pattern); err == nil && len(names) > 0 {
			return true
		}
	}
	return false
}

func (w *Watcher) note(now time.Time, went bool) {
	if !went {
		w.windows = append(w.windows, Window{From: now.Add(-watchGap)})
	}
	w.windows[len(w.windows)-1].To = now
}

// Stop stops watching and returns when there were files.
func (w *Watcher) Stop() []Window {
	w.cancel()
	w.wg.Wait()
	return w.windows
}
