package snapshot

import (
	pb "go.etcd.io/raft/v3/raftpb"
)

// Newest returns the metadata of the newest snapshot, as List does, or nil. It waits for no
// disk: the Store remembers it. Nobody may change it. Any goroutine may call it.
func (s *Store) Newest() *pb.SnapshotMetadata {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// came notes a snapshot that has become visible.
func (s *Store) came(meta *pb.SnapshotMetadata) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || byAge(meta, s.newest) < 0 {
		s.newest = meta
	}
}

// went finds the newest snapshot anew if it is no more. If the folder cannot be read there
// is none until the next one comes.
func (s *Store) went(was func(*pb.SnapshotMetadata) bool) {
	if newest := s.Newest(); newest == nil || !was(newest) {
		return
	}
	list, err := s.List()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil || !was(s.newest) {
		return // another one has come meanwhile
	}
	if s.newest = nil; err == nil && len(list) > 0 {
		s.newest = list[0]
	}
}
