package peer

import (
	"encoding/hex"
	"strings"
	"testing"

	"raftcached/replication/identity"
)

// goldenHello holds, a line each: kind, version, cluster, server, raft id,
// directory id, boot and stream; the constants; the members.
const goldenHello = `
	9a 01 01 cf0000010000000000 02 cd012c c41001020300000000000000000000000000 07 04
	95 ce04000000 ce00100000 c2 0a 1e
	91 95 02 cd012c c41001020300000000000000000000000000 ad63616368652e6578616d706c65 cd2c2f`

// TestHelloBytes holds the format of the handshake: the other node may run
// another version of this program.
func TestHelloBytes(t *testing.T) {
	id := identity.DirectoryID{1, 2, 3}
	got := hex.EncodeToString(encodeHello(&Hello{
		ClusterID: 1 << 40, ServerID: 2, RaftID: 300, DirectoryID: id, Boot: 7, Stream: StreamForward,
		Constants: testConstants,
		Members:   []identity.Member{{ServerID: 2, RaftID: 300, DirectoryID: id, Host: "cache.example", LogPort: 11311}},
	}))
	if want := strings.Join(strings.Fields(goldenHello), ""); got != want {
		t.Fatalf("hello is\n%s, want\n%s", got, want)
	}
}
