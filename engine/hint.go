package engine

// Hint takes hashes of items that were read lately. Eviction in the order of
// storing has no use for them.
func (e *Engine) Hint([]byte) {}
