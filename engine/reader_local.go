package engine

// Look is View with all that is known of the item.
func (r *Reader) Look(dst, key []byte, keepAccess bool, f func(dst, key []byte, it Item) []byte) ([]byte, bool) {
	return r.View(dst, key, f)
}

// SetNow tells the time.
func (r *Reader) SetNow(seconds int64) {}

// TTLSeconds is the time left.
func (it *Item) TTLSeconds() int64 { return -1 }

// Wins reports whether the item is to be fetched anew.
func (it *Item) Wins(recache int64) bool { return false }
