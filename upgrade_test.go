package raftcached

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestUpgradeNamesVersions: docs/upgrade.md shows the versions of formats that the source
// has.
func TestUpgradeNamesVersions(t *testing.T) {
	document, err := os.ReadFile("docs/upgrade.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ file, constant, row string }{
		{"replication/identity/identity.go", `formatVersion = (\d+)`, "| the file `identity` | %s |"},
		{"replication/wal/owner.go", `segmentMagic +=.*\\x0(\d)"`, "| segments of the raft log | %s |"},
		{"replication/snapshot/head.go", `magic +=.*\\x0(\d)"`, "| files of snapshots | %s |"},
		{"replication/state.go", `snapshotRaised += (\d+)`, "| the state in snapshots | %s |"},
		{"engine/image.go", `imageVersion = (\d+)`, "| the items in snapshots | %s, and more"},
		{"replication/batch.go", `entryVersion = (\d+)`, "| entries of the raft log | %s |"},
		{"replication/change.go", `changeVersion = (\d+)`, "| changes of members in it | %s |"},
		{"replication/peer/version_known.go", `protocolGreatest = (\d+)`, "| between servers | %s |"},
		{"internal/backup/header.go", `Version = (\d+)`, "| backups | %s |"},
	} {
		source, err := os.ReadFile(v.file)
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(v.constant).FindSubmatch(source)
		if match == nil {
			t.Errorf("%s has no %s", v.file, v.constant)
			continue
		}
		if row := fmt.Sprintf(v.row, match[1]); !strings.Contains(string(document), row) {
			t.Errorf("docs/upgrade.md lacks %q, which %s has", row, v.file)
		}
	}
}
