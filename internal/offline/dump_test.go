package offline

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/engine"
	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var rewrite = flag.Bool("rewrite", false, "write testdata from what the code does")

// dumpFolder has one of everything that a log can hold, and damage.
func dumpFolder(t *testing.T, fs disk.FS) {
	b := newBuilder(t, fs, 1<<10)
	b.save(&pb.Entry{Index: new(uint64(1)), Term: new(uint64(1))})
	b.next++
	b.form()
	b.sets(0, 3)
	b.snapshot()
	b.entry(
		engine.Op{Kind: engine.OpDelete, Key: []byte("k1")},
		engine.Op{Kind: engine.OpIncr, Key: []byte{'n', 0xff}, Delta: 7},
		engine.Op{Kind: engine.OpFlushAll, Exptime: 10},
	)
	b.append(1, 4, 0, nil) // given up
	change := &pb.ConfChangeV2{Context: changeContext()}
	data, err := proto.Marshal(change)
	must(t, err)
	b.save(&pb.Entry{Index: new(b.next), Term: new(b.term), Type: pb.EntryConfChangeV2.Enum(), Data: data})
	b.next++
	b.sets(3, 6)
	b.close(true)
	harm(t, fs, segmentOf(t, fs, "v5"), flip("v5"))
	must(t, disk.WriteFileAtomic(fs, filepath.Join(testDir, "wal", "0000000000000009.wal"), make([]byte, 4096)))
}

func dumpText(t *testing.T, fs disk.FS, in Range, asJSON bool) string {
	t.Helper()
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	must(t, Dump(fs, testDir, in, func(r *Record) error {
		if asJSON {
			return encoder.Encode(r)
		}
		return r.WriteText(&text)
	}))
	return text.String()
}

// TestDump compares what is printed of a folder with files.
func TestDump(t *testing.T) {
	fs := disktest.NewCrashable()
	dumpFolder(t, fs)
	before := contents(t, fs)
	golden(t, "dump.txt", dumpText(t, fs, Range{}, false))
	golden(t, "dump.json", dumpText(t, fs, Range{}, true))
	golden(t, "dump_range.txt", dumpText(t, fs, Range{From: 5, To: 7}, false))
	if after := contents(t, fs); after != before {
		t.Error("the folder was changed")
	}

	must(t, fs.Remove(filepath.Join(testDir, "identity")))
	if text := dumpText(t, fs, Range{From: 7, To: 7}, false); !strings.Contains(text, "DAMAGE: identity: ") || !strings.Contains(text, "entry 7 term 1") {
		t.Errorf("without an identity:\n%s", text)
	}
	f, err := newFolderInUse(t)
	if err == nil || !strings.Contains(err.Error(), "it is in use by another process") {
		t.Errorf("dump of a folder in use: %v, %v", f, err)
	}
}

// newFolderInUse dumps a folder that is open.
func newFolderInUse(t *testing.T) (int, error) {
	fs := disktest.NewCrashable()
	newFolder(t, fs)
	f, err := Open(fs, testDir, Options{})
	must(t, err)
	defer func() { must(t, f.Close()) }()
	n := 0
	return n, Dump(fs, testDir, Range{}, func(*Record) error { n++; return nil })
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *rewrite {
		must(t, os.WriteFile(name, []byte(text), 0o600))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if text != string(want) {
		t.Errorf("%s: is\n%s\nwant\n%s", name, text, want)
	}
}

// TestDumpBearsAnything harms every byte of a folder's log, one after the other, and
// snapshots: a dump goes on, and says so unless the byte meant nothing.
func TestDumpBearsAnything(t *testing.T) {
	fs := disktest.NewCrashable()
	newFolder(t, fs)
	for _, sub := range []string{"wal", "snap"} {
		names, err := fs.List(filepath.Join(testDir, sub))
		must(t, err)
		for _, name := range names {
			name = filepath.Join(sub, name)
			whole, err := disk.ReadFile(fs, filepath.Join(testDir, name))
			must(t, err)
			for at := 0; at < min(len(whole), 1500); at += 29 {
				harm(t, fs, name, func(b []byte) []byte { b[at] ^= 0x40; return b })
				records, damaged := 0, 0
				must(t, Dump(fs, testDir, Range{}, func(r *Record) error {
					records++
					if r.Kind == KindDamage || r.Kind == KindNote {
						damaged++
					}
					return nil
				}))
				if damaged == 0 || records < 20 {
					t.Errorf("%s, byte %d: %d records, %d of damage", name, at, records, damaged)
				}
				must(t, disk.WriteFileAtomic(fs, filepath.Join(testDir, name), whole))
			}
		}
	}
}

// changeContext is an encoded change of members, as it stands in an entry; see
// replication's doc.go.
func changeContext() []byte {
	b := frame.AppendArrayLen(nil, 10)
	for _, v := range []uint64{1, 3, 4, 0, 5} { // version, admit, changes before, id, server id
		b = frame.AppendUint(b, v)
	}
	b = frame.AppendBytes(b, make([]byte, 16))
	b = frame.AppendString(b, "10.0.0.9")
	b = frame.AppendUint(b, 11211)
	b = frame.AppendUint(b, 11311)
	return frame.AppendBool(b, false)
}
