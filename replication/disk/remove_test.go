package disk

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// largeFile makes a file that is too large to be removed at once, without writing it.
func largeFile(t *testing.T, name string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(name, nil, fileMode), os.Truncate(name, removeAtOnce+removePieceBytes)); err != nil {
		t.Fatal(err)
	}
}

// sizeOf is how long an open file is, removed or not.
func sizeOf(t *testing.T, f File) int64 {
	t.Helper()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestLargeFilesAreRemovedInSteps: the name goes at once, the contents piece by piece.
func TestLargeFilesAreRemovedInSteps(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	largeFile(t, name)
	f, err := os.Open(name) // without the lock, to look
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	sizes, done := make(chan int64, 8), make(chan struct{})
	if err := remove(name, func(d time.Duration) {
		if size := sizeOf(t, osFile{f}); d == removePause {
			sizes <- size
			if size <= removePieceBytes {
				close(done)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("its name is there: %v", err)
	}
	<-done
	for want := int64(removeAtOnce); want >= removePieceBytes; want -= removePieceBytes {
		if got := <-sizes; got != want {
			t.Errorf("a step leaves %d bytes, want %d", got, want)
		}
	}
}

// TestNothingShrinksThatIsRead, or that has another name.
func TestNothingShrinksThatIsRead(t *testing.T) {
	pause := func(time.Duration) { t.Error("it shrinks") }
	for kind, open := range map[string]func(string) (File, error){
		"read": OS().Open, "read directly": OS().OpenDirect, "linked": func(name string) (File, error) {
			if err := os.Link(name, name+".link"); err != nil {
				return nil, err
			}
			f, err := os.Open(name + ".link") // without the lock
			return osFile{f}, err
		},
	} {
		name := filepath.Join(t.TempDir(), "large")
		largeFile(t, name)
		f, err := open(name)
		if err != nil {
			t.Fatal(err)
		}
		w, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		shrink(w, removeAtOnce+removePieceBytes, pause)
		if got := sizeOf(t, f); got != removeAtOnce+removePieceBytes {
			t.Errorf("%s: it has %d bytes left", kind, got)
		}
		if err := errors.Join(f.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemovedFileIsNotOpened: who comes while it is truncated does not find it.
func TestRemovedFileIsNotOpened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	largeFile(t, name)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	late, err := os.Open(name) // and is about to take the lock
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	shrink(f, removeAtOnce+removePieceBytes, func(time.Duration) {
		if late == nil {
			return
		}
		if _, err := opened(late); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("it is opened: %v", err)
		}
		late = nil
	})
	if err := f.Close(); err != nil || late != nil {
		t.Errorf("close: %v; nothing shrank: %v", err, late != nil)
	}
}
