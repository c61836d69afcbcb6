package backup

import (
	"time"

	"raftcached/engine"
)

// Item is an item of a backup.
type Item = engine.StoredItem

// Expired reports whether an item has expired at a time.
func Expired(it *Item, at time.Time) bool { return it.ExpiryMs != 0 && it.ExpiryMs <= at.UnixMilli() }
