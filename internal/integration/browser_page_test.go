package integration

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// hostileKey would do something if a page took it for markup.
const hostileKey = "<img/src=x/onerror=document.title='taken'>"

// TestPageInABrowser: a browser shows who leads and who is lost, with what helps, through an
// election and a replacement; a key stays text; it has no error, asks nobody else, and fits
// on a phone; and when the server stops, the page says that what it shows is old.
func TestPageInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at what a browser shows: not in a short run")
	}
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"logRetainMiB": 1}})
	b := startBrowser(ctx, t)
	ctl := ctlOf(ctx, t, c)
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	watcher := followersOf(c, leader)[0]
	card := func(s *cluster.Server) string {
		return fmt.Sprintf(`(e => e ? e.dataset.role + "/" + e.dataset.state + "/" + e.innerText : "")(document.querySelector("article[data-server='%d']"))`, s.ID)
	}
	b.screen(ctx, 1100, 900, "light")
	b.open(ctx, "http://"+watcher.AdminAddr+"/")
	b.await(ctx, card(leader), "leader/ok/", "LEADER", "0 entries")
	b.await(ctx, card(watcher), "follower/ok/")
	b.await(ctx, `document.getElementById("verdict").innerText`, "OK", "one loss is survived")

	b.await(ctx, `document.getElementById("footer").innerText`, "Leases: ", "Cluster version 1")

	loadPage(t, watcher, leader)
	b.await(ctx, `document.getElementById("hot").innerText`, "%3Cimg%2Fsrc%3Dx") // as a server tells keys
	b.text(ctx, `draw({...told, hotKeys: [{key: "`+hostileKey+`", readsPerSecond: 1, writesPerSecond: 0}]})`)
	b.await(ctx, `document.title + document.images.length`, "raftcached0")
	certified := `{port: "client", notAfter: "2031-02-03T04:05:06Z", authorityNotAfter: "2036-05-06T07:08:09Z", handshakes: 12345, failed: {not_tls: 2, unknown_authority: 30}}`
	b.await(ctx, `draw({...told, view: {...told.view, servers: told.view.servers.map((s) => ({...s, tls: [`+certified+`]}))}}), `+card(leader), "until 2031-02-03, authorities until 2036-05-06, 12,345 handshakes, failed: 30 unknown authority, 2 not tls")
	b.photograph(ctx, "well")
	takeSnapshot(t, leader)
	b.await(ctx, `document.getElementById("events").innerText`, "took a snapshot index=")
	b.photograph(ctx, "snapshot")

	must(t, leader.Kill())
	b.await(ctx, card(leader), "UNREACHABLE")
	b.photograph(ctx, "election")
	b.await(ctx, `document.getElementById("problems").innerText`, fmt.Sprintf("Server %d", leader.ID), "connection refused", "Start it again", fmt.Sprintf("member replace %d", leader.ID))
	b.await(ctx, `document.getElementById("verdict").innerText + document.title`, "DEGRADED", "one more loss stops it", "DEGRADED – raftcached")
	b.await(ctx, `[...document.querySelectorAll("article[data-role=leader][data-state=ok]")].length`, "1")
	b.await(ctx, `document.getElementById("events").innerText`, fmt.Sprintf("lost server %d ", leader.ID), " leads (term ")

	must(t, os.RemoveAll(leader.DataDir))
	awaitExit(ctx, t, ctl, 0, "--server", watcher.AdminAddr, "member", "replace", strconv.Itoa(leader.ID), "--yes", "--no-wait")
	b.await(ctx, card(leader), "awaited")
	b.photograph(ctx, "replacement")
	must(t, leader.Start())
	b.await(ctx, card(leader), "follower/ok/")
	b.await(ctx, `document.getElementById("verdict").innerText`, "OK")
	b.photograph(ctx, "replaced")

	b.screen(ctx, 360, 740, "dark")
	b.await(ctx, `document.documentElement.scrollWidth <= 360`, "true")
	b.await(ctx, `(draw({...told, slow: [{at: "2026-11-27T20:42:18Z", ms: 1234, command: "set", key: "session:00000001", causesMs: {disk: 1200, order: 30}}]}),
		document.documentElement.scrollWidth <= 360 && document.querySelector("#slow td.key").offsetWidth >= 100)`, "true") // not a letter a line
	b.photograph(ctx, "slow")
	b.screen(ctx, 360, 740, "dark")

	b.wantNoFaults(watcher.AdminAddr)

	must(t, watcher.Kill())
	b.await(ctx, `document.getElementById("banner").hidden + document.getElementById("banner").innerText`, "false", fmt.Sprintf("No news from server %d", watcher.ID), "What is shown is old")
	b.photograph(ctx, "lost")
	must(t, watcher.Start())
	b.await(ctx, `document.getElementById("banner").hidden + ""`, "true")
}

// takeSnapshot stores more than the raft log retains.
func takeSnapshot(t *testing.T, leader *cluster.Server) {
	t.Helper()
	client := clientOf(t, leader)
	for i := range 400 {
		must(t, client.Set(&memcache.Item{Key: fmt.Sprint("large:", i%20), Value: bytes.Repeat([]byte{'v'}, 20<<10)}))
	}
}

// loadPage has a key asked for so often that it is found to be hot, and others stored.
func loadPage(t *testing.T, at, leader *cluster.Server) {
	t.Helper()
	client := clientOf(t, leader)
	for i := range 200 {
		must(t, client.Set(&memcache.Item{Key: fmt.Sprint("user:", i), Value: []byte(strings.Repeat("v", 2000))}))
	}
	must(t, client.Set(&memcache.Item{Key: hostileKey, Value: []byte("v")}))
	reader := testclient.Dial(t, at.ClientAddr)
	for range 4000 {
		reader.Send("get " + hostileKey)
		reader.Expect("VALUE "+hostileKey+" 0 1", "v", "END")
	}
}
