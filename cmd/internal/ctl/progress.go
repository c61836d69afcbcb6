package ctl

import (
	"fmt"
	"time"
)

const (
	// progressPause is how often a terminal shows the progress, linePause how often
	// a line of it is written to anything else.
	progressPause = 200 * time.Millisecond
	linePause     = 10 * time.Second
)

// await shows the progress of what takes long until it is done.
func (c *ctl) await(line func() string, done <-chan error) error {
	terminal := isTerminal(c.Stderr)
	every := linePause
	if terminal {
		every = progressPause
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	shown := false
	for {
		select {
		case err := <-done:
			if shown && terminal {
				_, _ = fmt.Fprint(c.Stderr, "\r\x1b[K") // it only hides the progress
			}
			return err
		case <-tick.C:
			shown = true
			text := line()
			if terminal {
				text = "\r\x1b[K" + text
			} else {
				text += "\n"
			}
			_, _ = fmt.Fprint(c.Stderr, text) // it only shows the progress
		}
	}
}

// show does work on a goroutine of its own and shows its progress meanwhile.
func (c *ctl) show(line func() string, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	return c.await(line, done)
}

// bar draws how much of a whole is done.
func bar(done, whole int64) string {
	const width = 20
	b := []byte("[....................]")
	for i := range int64(width) {
		if whole > 0 && i*whole < done*width {
			b[1+i] = '#'
		}
	}
	return string(b)
}
