package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"raftcached/replication/disk"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outcomes crashes what write makes, with many seeds, and returns what is left of
// the file d/f, by how often, "-" if it is not there.
func outcomes(t *testing.T, write func(fs *FS)) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for seed := range uint64(2000) {
		fs := NewCrashable()
		must(t, fs.MkdirAll("d"))
		write(fs)
		b, err := disk.ReadFile(Crash(fs, rand.New(rand.NewPCG(seed, 0))), "d/f")
		if err != nil {
			b = []byte("-")
		}
		seen[string(b)]++
	}
	return seen
}

// sectors is that many sectors of a letter.
func sectors(letter byte, n int) []byte { return bytes.Repeat([]byte{letter}, n*sectorBytes) }

// TestSyncedWritesStay: what was synced is there; of two writes since, any set of
// their sectors, and zeros where one is missing.
func TestSyncedWritesStay(t *testing.T) {
	seen := outcomes(t, func(fs *FS) {
		f, err := fs.Create("d/f")
		must(t, err)
		_, err = f.Write(sectors('a', 1))
		must(t, err)
		must(t, f.Sync())
		must(t, fs.SyncDir("d"))
		for _, letter := range []byte{'b', 'c'} {
			_, err = f.Write(sectors(letter, 2))
			must(t, err)
		}
	})
	shapes := map[string]bool{}
	for text := range seen {
		shape := ""
		for sector := range slices.Chunk([]byte(text), sectorBytes) {
			shape += string(max(sector[0], '0'))
			if len(sector) != sectorBytes || !bytes.Equal(sector, bytes.Repeat(sector[:1], sectorBytes)) {
				t.Fatalf("a sector is torn: %q", sector)
			}
		}
		shapes[shape] = true
	}
	for _, want := range []string{"a", "abbcc", "ab", "a0b", "a00c", "a0bc", "abb0c", "a0000"} {
		if !shapes[want] {
			t.Errorf("never left: %s", want)
		}
	}
	for shape := range shapes {
		if shape[0] != 'a' || len(shape) > 5 {
			t.Errorf("left: %s", shape)
		}
	}
}

// TestNamesComeInOrder: of two renames, none, the first, or both come to the disk;
// with a sync of the folder, both.
func TestNamesComeInOrder(t *testing.T) {
	for _, sync := range []bool{false, true} {
		seen := outcomes(t, func(fs *FS) {
			for _, text := range []string{"1", "2", "3"} {
				f, err := fs.Create("d/tmp")
				must(t, err)
				_, err = f.Write([]byte(text))
				must(t, err)
				must(t, f.Sync())
				must(t, fs.Rename("d/tmp", "d/f"))
			}
			if sync {
				must(t, fs.SyncDir("d"))
			}
		})
		want := []string{"-", "1", "2", "3"}
		if sync {
			want = []string{"3"}
		}
		for _, text := range want {
			if seen[text] == 0 {
				t.Errorf("sync %v: never left: %q", sync, text)
			}
		}
		if len(seen) != len(want) {
			t.Errorf("sync %v: left %v", sync, seen)
		}
	}
}

// TestFailingWrite: it may be done up to the end of a sector, and nothing can be
// written after it.
func TestFailingWrite(t *testing.T) {
	lengths := map[int]bool{}
	for round := range 40 {
		fs := newFS(uint64(round))
		f, err := fs.Create("f")
		must(t, err)
		fs.FailIn = 1
		n, err := f.Write(sectors('a', 3))
		if !errors.Is(err, ErrInjected) || !fs.Failed() {
			t.Fatalf("wrote %d bytes: %v", n, err)
		}
		got, err := disk.ReadFile(fs, "f")
		if must(t, err); !bytes.Equal(got, sectors('a', 3)[:n]) || n%sectorBytes != 0 {
			t.Fatalf("%d bytes, the file has %d", n, len(got))
		}
		lengths[n/sectorBytes] = true
		if err := f.Sync(); !errors.Is(err, ErrInjected) {
			t.Fatalf("a sync after it: %v", err)
		}
	}
	if len(lengths) < 3 {
		t.Fatal(fmt.Sprint("lengths in sectors: ", lengths))
	}
}

// TestCutFilesAreCut: a cut that was not synced is done, not done, or done in part. One
// that was stays, and what is written after it reaches no byte from before it.
func TestCutFilesAreCut(t *testing.T) {
	for _, sync := range []bool{false, true} {
		seen := outcomes(t, func(fs *FS) {
			f, err := fs.Create("d/f")
			must(t, err)
			_, err = f.Write(sectors('a', 3))
			must(t, err)
			must(t, f.Sync())
			must(t, fs.SyncDir("d"))
			must(t, f.Close())
			f, err = fs.Edit("d/f")
			must(t, err)
			_, err = f.Write([]byte("b"))
			must(t, err)
			must(t, f.Sync())
			must(t, f.Truncate(1))
			if f.Truncate(2) == nil {
				t.Fatal("a file was cut to more than it has")
			}
			if sync {
				must(t, f.Sync())
				must(t, f.Preallocate(3))
				must(t, f.Sync())
			}
		})
		if sync && (len(seen) != 1 || seen["b\x00\x00"] == 0) {
			t.Fatalf("after a sync: %v", seen)
		}
		whole := "b" + string(sectors('a', 3)[1:])
		for text := range seen {
			if !sync && (text == "" || text != whole[:len(text)]) {
				t.Fatalf("left %q", text)
			}
		}
		if !sync && (len(seen) < 10 || seen["b"] == 0 || seen[whole] == 0) {
			t.Fatalf("%d outcomes, %d of them cut, %d not", len(seen), seen["b"], seen[whole])
		}
	}
}
