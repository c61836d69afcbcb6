package raftcached_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"raftcached"
	"raftcached/raftcachedtest"
)

// TestFolderIsEnough: a server that was in a cluster is started by its data folder, which
// knows its id, its addresses and the cluster's limits. Whoever names an id means a server
// of a cluster, and never begins one.
func TestFolderIsEnough(t *testing.T) {
	dir := t.TempDir()
	c := raftcachedtest.Start(t, 2, func(cfg *raftcached.Config) {
		cfg.MemoryDisk, cfg.DataDir, cfg.MemoryLimitBytes, cfg.ElectionTicks = nil, filepath.Join(dir, strconv.Itoa(cfg.ServerID)), 100<<20, 30
	})
	if err := c.Node(0).Client().Set(t.Context(), &raftcached.Item{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(1); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "1")
	for _, line := range []string{"", " -id 1", " -join 127.0.0.1:1", " -id 1 -join 127.0.0.1:1"} {
		args, err := raftcached.ParseArguments(strings.Fields("-data "+folder+line), nil)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if cfg := args.Config; cfg.ServerID != 1 || len(cfg.Servers) != 0 || cfg.ClientAddrs[0] != c.Addr(1) || cfg.PeerAddr == "" || cfg.MemoryLimitBytes != 100<<20 || cfg.ElectionTicks != 30 {
			t.Errorf("%q: the configuration is %+v", line, cfg)
		}
	}
	for line, want := range map[string]string{
		"-data " + folder + " -id 0":      fmt.Sprintf("-id is 0, and data folder %q belongs to server 1: give each server a folder of its own, with -data", folder),
		"-data " + folder + "/none -id 1": fmt.Sprintf("-id names a server of a cluster, and data folder %q is of none: ", folder+"/none"),
		"-join 127.0.0.1:1":               "-join needs the id that `raftcachectl member add` has announced: add -id",
		"-peer-listen 127.0.0.1:1":        "-peer-listen is for the servers of a cluster: leave it out, or add -config",
	} {
		if _, err := raftcached.ParseArguments(strings.Fields(line), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
	node, err := raftcached.Open(t.Context(), raftcached.Config{DataDir: folder})
	if err != nil {
		t.Fatal(err)
	}
	if item, err := node.Client().Get(t.Context(), "k"); err != nil || string(item.Value) != "v" {
		t.Errorf("it has %+v, %v", item, err)
	}
	if err := node.Close(); err != nil {
		t.Error(err)
	}
}
