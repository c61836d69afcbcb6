package server

import "iter"

// roll is the open connections of a loop. Each has a place as long as it is open, so that they
// can be gone through in steps. The zero value is empty. It is as large as it ever was: 16 bytes
// for each connection.
type roll struct {
	places []*conn // nil: free
	free   []int   // places that are
}

// add gives a connection a place.
func (r *roll) add(c *conn) {
	if n := len(r.free); n > 0 {
		c.place = r.free[n-1]
		r.free = r.free[:n-1]
		r.places[c.place] = c
		return
	}
	c.place = len(r.places)
	r.places = append(r.places, c)
}

// remove frees the place of a connection, unless that was done.
func (r *roll) remove(c *conn) {
	if r.places[c.place] == c {
		r.places[c.place] = nil
		r.free = append(r.free, c.place)
	}
}

// all returns the connections. They may be removed meanwhile.
func (r *roll) all() iter.Seq[*conn] { return r.between(0, len(r.places)) }

// between returns the connections of the places from the first one to the one before the end,
// if there are that many.
func (r *roll) between(first, end int) iter.Seq[*conn] {
	return func(yield func(*conn) bool) {
		for i := first; i < min(end, len(r.places)); i++ {
			if c := r.places[i]; c != nil && !yield(c) {
				return
			}
		}
	}
}
