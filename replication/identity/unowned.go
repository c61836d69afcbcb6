package identity

// Unowned is up to where the files of this data folder need not say whose they are: an
// older version has written them. A new folder has no such files.
type Unowned struct {
	Segment  uint64 `json:"segment"`  // sequence number
	Snapshot uint64 `json:"snapshot"` // index
}

// Unowned returns what was last kept.
func (id *Identity) Unowned() Unowned {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.file.Unowned
}

// KeepUnowned durably keeps which files without an owner there still are. No others come.
func (id *Identity) KeepUnowned(u Unowned) error {
	id.mu.Lock()
	same := id.file.Unowned == u
	id.file.Unowned = u
	id.mu.Unlock()
	if same {
		return nil
	}
	return id.save()
}
