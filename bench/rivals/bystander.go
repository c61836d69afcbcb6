//go:build linux

package main

import "time"

// bystanderNap is how long a bystander sleeps at a time.
const bystanderNap = time.Millisecond

// bystander sleeps beside a measurement and notes how late it was woken. While the machine
// itself stands still, because what it runs on gives its processors to others, no server can
// answer: that is not the server's gap.
type bystander struct {
	ends chan struct{}
	late chan time.Duration
}

// watchMachine starts a bystander, which reads the time by now.
func watchMachine(now func() time.Time) *bystander {
	b := &bystander{ends: make(chan struct{}), late: make(chan time.Duration)}
	go func() {
		var most time.Duration
		for {
			began := now()
			select {
			case <-time.After(bystanderNap):
				most = max(most, now().Sub(began)-bystanderNap)
			case <-b.ends:
				b.late <- most
				return
			}
		}
	}()
	return b
}

// end ends the bystander and returns by how much it was late at most.
func (b *bystander) end() time.Duration {
	close(b.ends)
	return <-b.late
}
