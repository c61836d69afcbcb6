package stats

import "raftcached/protocol"

// There are no slabs here, but tools build their tables from the items and slabs
// that stats reports: memcached-tool, phpMemcachedAdmin, memcached_exporter. So the
// whole cache is reported as one slab class whose chunks have the mean size of an
// item.

// pageBytes is the size of the pages in which memory is reported: memcached's.
const pageBytes = 1 << 20

// number is a statistic that is a number.
type number struct {
	name  string
	value int64
}

// addItems answers "stats items": nothing if there are none, like memcached.
// mem_requested is reported here, as in memcached 1.6.45, and therefore not among
// the slabs: programs that find it in both fail.
func (t *totals) addItems(l *protocol.StatList) {
	if t.state.Items == 0 {
		return
	}
	for _, n := range []number{
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
		l.AddInt("items:1:"+n.name, n.value)
	}
}

// addSlabs answers "stats slabs".
func (t *totals) addSlabs(l *protocol.StatList) {
	active := int64(0)
	if t.state.Items > 0 {
		active = 1
		t.addClass(l)
	}
	l.AddInt("active_slabs", active)
	l.AddInt("total_malloced", t.state.AllocatedBytes)
}

// addClass adds the one slab class.
func (t *totals) addClass(l *protocol.StatList) {
	used := t.state.Items
	size := max(1, (t.state.Bytes+used-1)/used)
	perPage := max(1, pageBytes/size)
	pages := max(1, (t.state.AllocatedBytes+pageBytes-1)/pageBytes)
	chunks := max(used, pages*perPage)
	for _, n := range []number{
		{"chunk_size", size},
		{"chunks_per_page", perPage},
		{"total_pages", pages},
		{"total_chunks", chunks},
		{"used_chunks", used},
		{"free_chunks", chunks - used},
		{"free_chunks_end", 0},
	} {
		l.AddInt("1:"+n.name, n.value)
	}
	for _, k := range []Counter{getHits, cmdSet, deleteHits, incrHits, decrHits, casHits, casBadval, touchHits} {
		l.AddInt("1:"+k.name(), int64(t.counts[k]))
	}
}
