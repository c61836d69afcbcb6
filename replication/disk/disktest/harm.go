package disktest

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"raftcached/replication/disk"
)

// Folder is a data folder.
type Folder struct {
	FS  disk.FS
	Dir string
}

// dirs are the parts of a data folder that hold what matters.
var dirs = []string{".", "wal", "snap"}

// Files returns the names of the files that matter, relative to the folder.
func (f Folder) Files() (names []string, err error) {
	for _, dir := range dirs {
		list, err := f.FS.List(filepath.Join(f.Dir, dir))
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, name := range list {
			if name = filepath.Join(dir, name); name == "identity" || strings.HasSuffix(name, ".wal") || strings.HasSuffix(name, ".snap") {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// CopyTo makes another folder the same, as far as Files goes.
func (f Folder) CopyTo(to Folder) error {
	return errors.Join(to.remove(dirs...), f.copyDirs(to, dirs...))
}

func (f Folder) copyDirs(to Folder, which ...string) error {
	names, err := f.Files()
	if err != nil {
		return err
	}
	for _, dir := range which {
		if err := disk.MakeDir(to.FS, filepath.Join(to.Dir, dir)); err != nil {
			return err
		}
	}
	for _, name := range names {
		if slices.Contains(which, filepath.Dir(name)) {
			if err := f.copyFile(to, name, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f Folder) copyFile(to Folder, name, as string) error {
	b, err := disk.ReadFile(f.FS, filepath.Join(f.Dir, name))
	if err != nil {
		return err
	}
	return disk.WriteFileAtomic(to.FS, filepath.Join(to.Dir, as), b)
}

// remove removes the files of parts of the folder.
func (f Folder) remove(which ...string) error {
	names, err := f.Files()
	for _, name := range names {
		if slices.Contains(which, filepath.Dir(name)) {
			err = errors.Join(err, f.FS.Remove(filepath.Join(f.Dir, name)))
		}
	}
	return err
}

// Harms does to data folders what a sound server never does.
type Harms struct {
	Rand *rand.Rand

	// Source returns a folder that something may be taken from, and what it is: an older
	// copy of the same folder, that of another server, or of another cluster.
	Source func() (from Folder, what string)
}

// kinds is what may happen. Each returns what it did.
var kinds = []func(h *Harms, f Folder) (what string, err error){
	(*Harms).loseDir, (*Harms).loseFile, (*Harms).flipBit, (*Harms).truncate, (*Harms).zero, (*Harms).wipe,
	(*Harms).takeAll, (*Harms).takeDirs, (*Harms).takeFile, (*Harms).takeFile, (*Harms).rename, (*Harms).duplicate,
}

// Do does something to a folder, and now and then something more, and returns what.
func (h *Harms) Do(f Folder) (what string, err error) {
	for again := true; again; again = h.Rand.IntN(5) == 0 {
		names, err := f.Files()
		if err != nil || len(names) == 0 {
			return what, err
		}
		more, err := kinds[h.Rand.IntN(len(kinds))](h, f)
		if err != nil {
			return what, fmt.Errorf("%s: %w", more, err)
		}
		what += more + "; "
	}
	return what, nil
}

// anyFile returns the name of a file of a folder that has one.
func (h *Harms) anyFile(f Folder) (string, error) {
	names, err := f.Files()
	if err != nil || len(names) == 0 {
		return "", errors.Join(err, errors.New("the folder is empty"))
	}
	return names[h.Rand.IntN(len(names))], nil
}

// loseDir loses the log, or the snapshots.
func (h *Harms) loseDir(f Folder) (string, error) {
	dir := []string{"wal", "snap"}[h.Rand.IntN(2)]
	return dir + " lost", f.remove(dir)
}

func (h *Harms) loseFile(f Folder) (string, error) {
	name, err := h.anyFile(f)
	if err == nil {
		err = f.FS.Remove(filepath.Join(f.Dir, name))
	}
	return name + " lost", err
}

// wipe loses everything.
func (h *Harms) wipe(f Folder) (string, error) { return "wiped", f.remove(dirs...) }

// damage replaces a file by what change makes of it, unless it is empty.
func (h *Harms) damage(f Folder, change func(b []byte, at int) []byte) (string, error) {
	name, err := h.anyFile(f)
	if err != nil {
		return "", err
	}
	path := filepath.Join(f.Dir, name)
	b, err := disk.ReadFile(f.FS, path)
	if err != nil || len(b) == 0 {
		return name + " is empty", err
	}
	at := h.Rand.IntN(len(b))
	return fmt.Sprintf("%s at %d of %d", name, at, len(b)), disk.WriteFileAtomic(f.FS, path, change(b, at))
}

func (h *Harms) flipBit(f Folder) (string, error) {
	what, err := h.damage(f, func(b []byte, at int) []byte {
		b[at] ^= 1 << h.Rand.IntN(8)
		return b
	})
	return "bit flipped in " + what, err
}

func (h *Harms) truncate(f Folder) (string, error) {
	what, err := h.damage(f, func(b []byte, at int) []byte { return b[:at] })
	return "cut " + what, err
}

// zero loses a part of a file, up to its end now and then.
func (h *Harms) zero(f Folder) (string, error) {
	what, err := h.damage(f, func(b []byte, at int) []byte {
		end := len(b)
		if h.Rand.IntN(3) > 0 {
			end = min(end, at+1+h.Rand.IntN(2000))
		}
		clear(b[at:end])
		return b
	})
	return "zeros in " + what, err
}

// takeAll takes everything from another folder.
func (h *Harms) takeAll(f Folder) (string, error) {
	from, what := h.Source()
	return "all from " + what, from.CopyTo(f)
}

// takeDirs takes the log, the snapshots, or both from another folder.
func (h *Harms) takeDirs(f Folder) (string, error) {
	from, what := h.Source()
	which := [][]string{{"wal"}, {"snap"}, {"wal", "snap"}}[h.Rand.IntN(3)]
	return fmt.Sprintf("%s from %s", strings.Join(which, " and "), what),
		errors.Join(f.remove(which...), from.copyDirs(f, which...))
}

// takeFile takes one file from another folder: in place of the one of that name, or in
// addition, or in place of another one of its kind.
func (h *Harms) takeFile(f Folder) (string, error) {
	from, what := h.Source()
	name, err := h.anyFile(from)
	if err != nil {
		return "nothing from " + what, nil
	}
	to := name
	if h.Rand.IntN(3) == 0 {
		to = h.sameKind(f, name)
	}
	return fmt.Sprintf("%s of %s as %s", name, what, to), from.copyFile(f, name, to)
}

// sameKind returns the name of a file of the kind of another one.
func (h *Harms) sameKind(f Folder, name string) string {
	names, err := f.Files()
	names = slices.DeleteFunc(names, func(other string) bool { return filepath.Ext(other) != filepath.Ext(name) })
	if err != nil || len(names) == 0 {
		return name
	}
	return names[h.Rand.IntN(len(names))]
}

// newName returns a name for a file of the kind of name that stands near it.
func (h *Harms) newName(name string) string {
	var index, term uint64
	dir, base := filepath.Split(name)
	if n, _ := fmt.Sscanf(base, "%016x-%016x.snap", &index, &term); n == 2 {
		return fmt.Sprintf("%s%016x-%016x.snap", dir, index+uint64(h.Rand.IntN(9)), term+uint64(h.Rand.IntN(2)))
	}
	if n, _ := fmt.Sscanf(base, "%016x.wal", &index); n == 1 {
		return fmt.Sprintf("%s%016x.wal", dir, max(1, index+uint64(h.Rand.IntN(5))-2))
	}
	return name
}

func (h *Harms) rename(f Folder) (string, error) {
	from, err := h.anyFile(f)
	if err != nil {
		return "", err
	}
	to := h.newName(from)
	if to != from {
		err = f.FS.Rename(filepath.Join(f.Dir, from), filepath.Join(f.Dir, to))
	}
	return fmt.Sprintf("%s renamed %s", from, to), err
}

func (h *Harms) duplicate(f Folder) (string, error) {
	from, err := h.anyFile(f)
	if err != nil {
		return "", err
	}
	to := h.newName(from)
	return fmt.Sprintf("%s copied to %s", from, to), f.copyFile(f, from, to)
}
