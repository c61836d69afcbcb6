package importer

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"raftcached/raftcachedtest"
)

// TestImportOfAnotherCluster copies the items of one server of this kind into another.
func TestImportOfAnotherCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("moves many items: not in a short run")
	}
	const items = 5000
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	from, to := raftcachedtest.Start(t, 1), raftcachedtest.Start(t, 1)
	source := open(ctx, t, from.Addr(0))
	var requests bytes.Buffer
	for i := range items {
		fmt.Fprintf(&requests, "ms key%d 5 q F%d T1000\r\n%05d\r\n", i, i, i)
	}
	requests.WriteString("ms YSBi 1 b q\r\nx\r\nmn\r\n")
	if line, _ := answerTo(t, source, requests.String()); line != "MN" {
		t.Fatalf("the source answers %q", line)
	}
	im := &Import{From: from.Addr(0), To: to.Addrs()}
	if err := im.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if p := im.Progress(); p.Listed != items+1 || p.Stored != items+1 || p.Failed+p.Gone != 0 {
		t.Fatalf("progress is %+v, want %d items", p, items+1)
	}
	target := open(ctx, t, to.Addr(0))
	for request, want := range map[string]string{"mg key4999 v f\r\n": "VA 5 f4999 04999", "mg YSBi b v\r\n": "VA 1 x"} {
		if line, value := answerTo(t, target, request); line+" "+value != want {
			t.Errorf("%q is answered %q %q, want %q", request, line, value, want)
		}
	}
}
