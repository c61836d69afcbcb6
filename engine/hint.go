package engine

// Hint takes hashes of items that were read lately. Eviction in the order of
// storing has no use for them.
func (e *Engine) Hint([]byte) {}

// Formation is the operation that puts the limits into the log: none while the
// engine has them from New alone.
func (e *Engine) Formation() []byte { return nil }
