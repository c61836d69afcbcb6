package identity

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// lineageMax is how many starts a folder remembers.
const lineageMax = 256

// bootJumpMax is how many starts of a folder another server may have missed. A larger
// boot number is damage: believing it would shut the folder out for good.
const bootJumpMax = 1 << 20

// Lineage is the last starts of a data folder: for each a random number, its
// incarnation, the last of which belongs to start Boot. A copy of the folder that is
// started goes on with other incarnations, which tells it from the original.
type Lineage struct {
	Boot         uint64   `json:"boot"`
	Incarnations []uint64 `json:"incarnations"`
}

// next returns the lineage with one more start.
func (l *Lineage) next(random io.Reader) (Lineage, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Lineage{}, fmt.Errorf("choose incarnation: %w", err)
	}
	all := append(slices.Clone(l.Incarnations), binary.LittleEndian.Uint64(b[:]))
	return Lineage{Boot: l.Boot + 1, Incarnations: all[max(0, len(all)-lineageMax):]}, nil
}

// Check returns an error if a lineage cannot be.
func (l *Lineage) Check() error {
	if n := uint64(len(l.Incarnations)); n == 0 || n > lineageMax || n > l.Boot {
		return fmt.Errorf("%d incarnations of %d starts", n, l.Boot)
	}
	return nil
}

// Seen is the newest start of a data folder that this server has seen.
type Seen struct {
	DirectoryID DirectoryID `json:"directoryId"`
	Boot        uint64      `json:"boot"`
	Incarnation uint64      `json:"incarnation"`
}

// OutdatedError reports that a data folder is a copy, older than what it has shown
// before, or that a copy of it was started: it may lack what it acknowledged since.
type OutdatedError struct{ Reason string }

func (e *OutdatedError) Error() string { return e.Reason }

// Memory is what a server has seen of the others' data folders.
type Memory []Seen

// Meet compares a lineage, which Check has accepted, with what is remembered of the
// folder, and remembers it if it is newer. It reports whether that has changed the
// memory. If more starts were missed than a lineage holds, nothing can be compared.
func (m *Memory) Meet(id DirectoryID, l *Lineage) (changed bool, err error) {
	now := Seen{id, l.Boot, l.Incarnations[len(l.Incarnations)-1]}
	i := slices.IndexFunc(*m, func(s Seen) bool { return s.DirectoryID == id })
	if i < 0 {
		*m = append(*m, now)
		return true, nil
	}
	seen := &(*m)[i]
	if l.Boot < seen.Boot {
		return false, &OutdatedError{fmt.Sprintf("its start %d was seen before, and this is start %d", seen.Boot, l.Boot)}
	}
	jump := l.Boot - seen.Boot
	if at := len(l.Incarnations) - 1; jump <= uint64(at) && l.Incarnations[uint64(at)-jump] != seen.Incarnation {
		return false, &OutdatedError{fmt.Sprintf("it was started for the time number %d twice, as two copies", seen.Boot)}
	}
	if jump > bootJumpMax {
		return false, fmt.Errorf("start %d of a data folder was seen before, start %d is too far from it", seen.Boot, l.Boot)
	}
	changed = *seen != now
	*seen = now
	return changed, nil
}

// Lineage returns the starts of this data folder. The caller must not change it.
func (id *Identity) Lineage() Lineage {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.file.Lineage
}

// Meet compares the lineage of another server's folder with the newest that was
// seen of it, and durably remembers it. An *OutdatedError says that the folder must
// not take part. The caller has made sure that the folder is a member's.
func (id *Identity) Meet(other DirectoryID, l Lineage) error {
	id.mu.Lock()
	changed, err := id.file.Seen.Meet(other, &l)
	id.mu.Unlock()
	if err != nil || !changed {
		return err
	}
	return id.save()
}
