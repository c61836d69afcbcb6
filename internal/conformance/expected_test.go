package conformance

// expectation is a check that memcached 1.6.45 fails too.
type expectation struct{ suite, check, reason string }

// expected lists what a client's suite wants and memcached does not do.
var expected = []expectation{
	{"memccapable text", "ascii delete", "it wants an error for words after the key, which memcached ignores"},
	{"memccapable text", "ascii delete noreply", "the same"},
}

// expectedToFail reports whether memcached is expected to fail a check.
func expectedToFail(suite, check string) bool {
	for _, e := range expected {
		if e.suite == suite && e.check == check {
			return true
		}
	}
	return false
}
