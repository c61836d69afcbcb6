package importer

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"raftcached/raftcachedtest"
)

// TestImportSurvivesALostServer: the leader stops while items are copied, also
// through it; what was not acknowledged is sent again.
func TestImportSurvivesALostServer(t *testing.T) {
	if testing.Short() {
		t.Skip("moves many items: not in a short run")
	}
	const items = 20_000
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	m := startMemcached(ctx, t)
	source := open(ctx, t, m.Addr)
	var requests bytes.Buffer
	for i := range items {
		fmt.Fprintf(&requests, "ms key%d 500 q\r\n%0500d\r\n", i, i)
	}
	requests.WriteString("mn\r\n")
	if line, _ := answerTo(t, source, requests.String()); line != "MN" {
		t.Fatalf("memcached answers %q", line)
	}
	target := raftcachedtest.Start(t, 3)
	im := &Import{From: m.Addr, To: target.Addrs()}
	done := make(chan error, 1)
	go func() { done <- im.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for im.Progress().Stored == 0 && ctx.Err() == nil {
		<-tick.C
	}
	lost := 0
	if leader, known := target.Node(0).Leader(); known {
		lost = leader
	}
	if err := target.Stop(lost); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if p := im.Progress(); p.Stored != items || p.Failed+p.Gone != 0 {
		t.Errorf("progress is %+v, want %d items", p, items)
	}
	check := open(ctx, t, target.Addr((lost+1)%3))
	for i := 0; i < items; i += 97 {
		if line, value := answerTo(t, check, fmt.Sprintf("mg key%d v\r\n", i)); line != "VA 500" || value != fmt.Sprintf("%0500d", i) {
			t.Fatalf("item %d is %q, %.20q", i, line, value)
		}
	}
}
