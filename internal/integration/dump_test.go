package integration

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// TestProgramsThatListKeys: memcdump, and php's getAllKeys.
func TestProgramsThatListKeys(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	addr := c.Servers[0].ClientAddr
	client := testclient.Dial(t, addr)
	var want []string
	for i := range 3000 { // several steps
		want = append(want, fmt.Sprintf("key%d", i))
		client.SendBytes(fmt.Sprintf("set key%d 0 0 1 noreply\r\nx\r\n", i))
	}
	client.Send("mn")
	client.Expect("MN")
	slices.Sort(want)
	lists := func(program string, args ...string) {
		out, err := exec.CommandContext(ctx, program, args...).Output()
		got := strings.Fields(string(out))
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, lists %d keys, want %d: %.200q", program, err, len(got), len(want), out)
		}
	}
	t.Run("memcdump", func(t *testing.T) {
		lists(needProgram(t, "memcdump", "libmemcached-tools"), "--servers="+addr)
	})
	t.Run("php", func(t *testing.T) {
		php := needProgram(t, "php", "php-cli")
		if exec.CommandContext(ctx, php, "-r", "new Memcached();").Run() != nil {
			skip(t, "needs php's Memcached: apt-get install php-memcached")
		}
		host, port, _ := strings.Cut(addr, ":")
		lists(php, "-r", fmt.Sprintf(`$m = new Memcached(); $m->addServer("%s", %s); echo implode("\n", $m->getAllKeys());`, host, port))
	})
}
