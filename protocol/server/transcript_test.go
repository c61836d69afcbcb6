package server

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/testcerts"
	"raftcached/internal/transcript"
)

// TestTranscripts replays the transcripts of package protocol: requests are sent as
// a whole, and byte by byte.
func TestTranscripts(t *testing.T) {
	blocks, err := transcript.LoadAll("../testdata")
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	// The backend of this test implements the classic commands. Package node replays
	// the others too, on an engine.
	blocks = slices.DeleteFunc(blocks, func(b transcript.Block) bool {
		name := filepath.Base(b.File)
		return strings.HasPrefix(name, "meta_") || strings.HasPrefix(name, "binary_")
	})
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) { replayAll(t, blocks, mode, nil) })
		t.Run(name+", TLS", func(t *testing.T) { replayAll(t, blocks, mode, testcerts.NewAuthority(t, "authority")) })
	}
}

// replayAll replays blocks in a mode of the backend, with TLS if there is an authority.
func replayAll(t *testing.T, blocks []transcript.Block, mode func(*testing.T, *memory), ca *testcerts.Authority) {
	var client *tls.Config
	var change []func(*Options)
	if ca != nil {
		client, change = ca.Client(), append(change, encrypt(ca, nil))
	}
	b := newMemory()
	mode(t, b)
	var passed atomic.Int64
	begin := time.Now()
	b.now = func() time.Time { return begin.Add(time.Duration(passed.Load())) }
	s := start(t, b, change...)
	for way, chop := range map[string]func(string) []string{"whole": nil, "byte by byte": transcript.EveryByte} {
		for i, block := range blocks {
			b.set(func(b *memory) { clear(b.items); b.flushAt = time.Time{} })
			err := block.ReplayAt(s.Addr().String(), transcript.Options{
				Run:  fmt.Sprint(i),
				Chop: chop,
				TLS:  client,
				Wait: func(d time.Duration) { passed.Add(int64(d)) },
			})
			if err != nil {
				t.Errorf("%s: %v", way, err)
			}
		}
	}
}
