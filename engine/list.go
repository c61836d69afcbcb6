package engine

import "raftcached/engine/store"

const (
	// listItemsMax and listHomesMax bound one call of List: it takes about 100
	// microseconds.
	listItemsMax = 512
	listHomesMax = 1024
)

// Listed is what List tells of an item. Key is valid during the call.
type Listed struct {
	Key        []byte
	Flags      uint32
	CAS        uint64
	ValueBytes int
	ExpiryMs   int64 // ms of Unix time on the log's clock; 0: never
	Accessed   int64 // second of Unix time, as this node knows it
	Fetched    bool  // it was read since it was stored, as this node knows it
}

// List calls f with a bounded number of items, and returns where the next call goes on
// and whether there is more; the first call begins at 0. An item that is there all the
// while is listed exactly once, others may be listed or not. Listing is no access.
func (r *Reader) List(at uint64, f func(it Listed)) (next uint64, more bool) {
	flushMs := r.flush()
	st := r.store.Enter()
	defer r.store.Leave()
	items := 0
	more = true
	for homes := 0; more && items < listItemsMax && homes < listHomesMax; homes++ {
		hides := r.engine.hides.Load()
		at, more, r.handles = st.Scan(at, r.handles, func(ref store.Ref) {
			if r.hidden(hides) || r.withheld(ref, flushMs) {
				return
			}
			key, value, m := ref.Read()
			a := ref.Access()
			f(Listed{
				Key: key, Flags: m.Flags, CAS: m.CAS, ValueBytes: len(value),
				ExpiryMs: m.ExpiryMs, Accessed: int64(a.Seconds), Fetched: a.Hit,
			})
			items++
		})
	}
	return at, more
}
