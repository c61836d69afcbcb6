package server

import "strconv"

// There are no slabs here, but tools draw their tables from the items and slabs
// that stats tells of: memcached-tool, phpMemcachedAdmin, memcached_exporter. So
// the whole cache is told of as one class of chunks of the items' mean size.

// pageBytes is the size of the pages in which memory is told: memcached's.
const pageBytes = 1 << 20

// appendItems answers "stats items": nothing if there are none, like memcached.
// mem_requested stands here, as in memcached 1.6.45, and so not among the slabs:
// programs that find it in both fail.
func (s *Server) appendItems(dst []byte) []byte {
	t := s.totalsSinceReset()
	if t.state.Items == 0 {
		return dst
	}
	for _, line := range []struct {
		name  string
		value int64
	}{
		{"number", t.state.Items},
		{"age", int64(t.state.Age.Seconds())},
		{"mem_requested", t.state.Bytes},
		{"evicted", t.state.Evictions},
		{"evicted_time", int64(t.state.EvictedAge.Seconds())},
		{"outofmemory", int64(t.counts[storeNoMemory])},
		{"tailrepairs", 0},
		{"reclaimed", t.state.Reclaimed},
		{"expired_unfetched", t.state.ExpiredUnfetched},
		{"evicted_unfetched", t.state.EvictedUnfetched},
	} {
		dst = appendStatInt(dst, "items:1:"+line.name, line.value)
	}
	return dst
}

// appendSlabs answers "stats slabs".
func (s *Server) appendSlabs(dst []byte) []byte {
	t := s.totalsSinceReset()
	active := int64(0)
	if t.state.Items > 0 {
		active = 1
		dst = t.appendClass(dst)
	}
	dst = appendStatInt(dst, "active_slabs", active)
	return appendStatInt(dst, "total_malloced", t.state.AllocatedBytes)
}

// appendClass appends the one class.
func (t *totals) appendClass(dst []byte) []byte {
	used := t.state.Items
	size := max(1, (t.state.Bytes+used-1)/used)
	perPage := max(1, pageBytes/size)
	pages := max(1, (t.state.AllocatedBytes+pageBytes-1)/pageBytes)
	chunks := max(used, pages*perPage)
	for _, line := range []struct {
		name  string
		value int64
	}{
		{"chunk_size", size},
		{"chunks_per_page", perPage},
		{"total_pages", pages},
		{"total_chunks", chunks},
		{"used_chunks", used},
		{"free_chunks", chunks - used},
		{"free_chunks_end", 0},
	} {
		dst = appendStat(dst, "1:"+line.name, strconv.FormatInt(line.value, 10))
	}
	for _, k := range []counter{getHits, cmdSet, deleteHits, incrHits, decrHits, casHits, casBadval, touchHits} {
		dst = appendStatInt(dst, "1:"+k.name(), int64(t.counts[k]))
	}
	return dst
}
