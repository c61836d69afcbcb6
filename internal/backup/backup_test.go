package backup

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"raftcached/engine"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden file")

const golden = "testdata/format_1.backup"

// image returns the image of an engine with n items.
func image(t testing.TB, n int) []byte {
	t.Helper()
	e, err := engine.New(engine.Limits{MemoryBytes: 8 << 20, ItemBytesMax: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Advance(1_900_000_000_000)
	for i := range n {
		op := engine.Op{Kind: engine.OpSet, Key: fmt.Appendf(nil, "k%d", i), Value: bytes.Repeat([]byte("v"), i%500), Flags: uint32(i % 3), Exptime: int64(i % 2 * 1000)}
		e.Apply(1, engine.AppendOp(nil, &op), false)
	}
	var b []byte
	i := e.Image()
	for more := true; more; {
		if b, more, err = i.Next(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

var testHeader = Header{Cluster: "990c120b00000001", Server: 1, Program: "0.1.0", Index: 900, Term: 3}

func backupOf(t testing.TB, image []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, testHeader, bytes.NewReader(image), func() {}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads a whole backup and returns its keys; io.EOF means that it is whole.
func readAll(b []byte) (c *Contents, keys []string, err error) {
	c, err = Open(bytes.NewReader(b))
	for err == nil {
		if _, err = c.Next(); err == nil {
			c.Items(func(it *engine.StoredItem) bool {
				keys = append(keys, string(it.Key))
				return true
			})
		}
	}
	return c, keys, err
}

// TestFormatIsKept writes and reads the backup in testdata. A change of it needs a new
// version.
func TestFormatIsKept(t *testing.T) {
	b := backupOf(t, image(t, 4))
	if *rewrite {
		if err := os.WriteFile(golden, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("the format has changed:\n%q\nwant\n%q", b, want)
	}
	c, keys, err := readAll(want)
	if !errors.Is(err, io.EOF) || strings.Join(keys, " ") != "k0 k1 k2 k3" {
		t.Fatalf("keys %q, %v", keys, err)
	}
	h := c.Header()
	if h.Index != 900 || h.Items != 4 || h.MemoryLimitBytes != 8<<20 || h.Time.UnixMilli() != 1_900_000_000_000 || h.Digest != Digest(c.Plan().Sum) {
		t.Fatalf("header %+v", h)
	}
}

// TestManyChunks reads a backup of several chunks.
func TestManyChunks(t *testing.T) {
	written := 0
	var b bytes.Buffer
	if err := Write(&b, testHeader, bytes.NewReader(image(t, 4000)), func() { written++ }); err != nil {
		t.Fatal(err)
	}
	c, keys, err := readAll(b.Bytes())
	if !errors.Is(err, io.EOF) || len(keys) != 4000 || c.Plan().Items != 4000 || written < 3 {
		t.Fatalf("%d keys in %d chunks: %v", len(keys), written, err)
	}
}

// TestDamage changes every byte of a small backup, cuts it at every byte, and adds one:
// none of that goes unnoticed.
func TestDamage(t *testing.T) {
	whole := backupOf(t, image(t, 20))
	if _, _, err := readAll(whole); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for at := range whole {
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[at] ^= 1 << bit
			if _, _, err := readAll(bad); errors.Is(err, io.EOF) {
				t.Fatalf("bit %d of byte %d of %d flipped: unnoticed", bit, at, len(whole))
			}
		}
		if _, _, err := readAll(whole[:at]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at byte %d of %d: %v", at, len(whole), err)
		}
	}
	if _, _, err := readAll(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a byte more: %v", err)
	}
}

// TestWriteFails shows that an image which ends early makes no whole backup, and that
// errors on both sides are told.
func TestWriteFails(t *testing.T) {
	whole := image(t, 4000)
	var b bytes.Buffer
	broken := io.MultiReader(bytes.NewReader(whole[:300<<10]), errorReader{})
	if err := Write(&b, testHeader, broken, func() {}); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if _, _, err := readAll(b.Bytes()); !errors.Is(err, errShort) {
		t.Fatal(err)
	}
	if err := Write(errorWriter{}, testHeader, bytes.NewReader(whole), func() {}); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if err := Write(io.Discard, testHeader, strings.NewReader("none"), func() {}); err == nil {
		t.Fatal("wrote a backup of no image")
	}
	b.Reset()
	if err := Write(&b, testHeader, bytes.NewReader(whole[:300<<10]), func() {}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readAll(b.Bytes()); !errors.Is(err, ErrDamaged) {
		t.Fatalf("half an image in a whole file: %v", err)
	}
}

var errBroken = errors.New("broken")

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errBroken }

type errorWriter struct{}

func (errorWriter) Write([]byte) (int, error) { return 0, errBroken }

// FuzzRead reads bytes that may be no backup. What is whole says the truth of itself.
func FuzzRead(f *testing.F) {
	f.Add(backupOf(f, image(f, 0)))
	f.Add(backupOf(f, image(f, 4)))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, keys, err := readAll(b)
		if errors.Is(err, io.EOF) && (int64(len(keys)) != c.Header().Items || Digest(c.Plan().Sum) != c.Header().Digest) {
			t.Fatalf("%d keys, header %+v", len(keys), c.Header())
		}
	})
}
