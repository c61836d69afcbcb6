package main

import "context"

// shrink reduces a difference to the fewest requests that show one: it removes ever
// smaller parts of them as long as a difference remains.
func (r *runner) shrink(ctx context.Context, keys []string, d *difference) *difference {
	for part := commandsIn(d.batches) / 2; part > 0; part /= 2 {
		for from := 0; from < commandsIn(d.batches) && ctx.Err() == nil; {
			fewer := without(d.batches, from, part)
			if smaller, err := r.replay(ctx, d.stream, keys, fewer); err == nil && smaller != nil {
				d = smaller
			} else {
				from += part
			}
		}
	}
	return d
}

func commandsIn(batches []batch) (n int) {
	for _, b := range batches {
		n += len(b.commands)
	}
	return n
}

// without returns the batches without some requests, which are counted through all
// batches, and without the batches that become empty.
func without(batches []batch, from, count int) []batch {
	var rest []batch
	at := 0
	for _, b := range batches {
		fewer := batch{protocol: b.protocol}
		for _, c := range b.commands {
			if at < from || at >= from+count {
				fewer.commands = append(fewer.commands, c)
			}
			at++
		}
		if len(fewer.commands) > 0 {
			rest = append(rest, fewer)
		}
	}
	return rest
}
