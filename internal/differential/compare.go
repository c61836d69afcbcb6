package main

import "strings"

// comparer decides whether the answers of one stream are equal. It remembers which
// cas unique of one server corresponds to which of the other.
type comparer struct {
	seen   [2][]uint64 // cas uniques in the order in which they were first seen
	paired [2]map[uint64]uint64
}

func newComparer() *comparer {
	return &comparer{paired: [2]map[uint64]uint64{{}, {}}}
}

// sameCAS reports whether two cas uniques correspond: whenever one server answers the
// first, the other must answer the second.
func (c *comparer) sameCAS(a, b uint64) bool {
	if a == 0 || b == 0 {
		return a == b // 0 is "none"
	}
	knownB, hasA := c.paired[0][a]
	knownA, hasB := c.paired[1][b]
	if hasA || hasB {
		return hasA && hasB && knownB == b && knownA == a
	}
	c.paired[0][a], c.paired[1][b] = b, a
	c.seen[0], c.seen[1] = append(c.seen[0], a), append(c.seen[1], b)
	return true
}

// firstDifference returns where two answers differ first, or -1.
func (c *comparer) firstDifference(a, b []unit) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || !c.equal(a[i], b[i]) {
			return i
		}
	}
	return -1
}

func (c *comparer) equal(a, b unit) bool {
	if a.packet != nil && b.packet != nil {
		return c.equalPackets(a.packet, b.packet)
	}
	if a.packet != nil || b.packet != nil || a.data != b.data {
		return false
	}
	if a.line == b.line && !strings.ContainsAny(a.line, " ") {
		return true
	}
	return c.equalLines(strings.Split(a.line, " "), strings.Split(b.line, " "))
}

// equalLines compares two lines word by word. A rule may permit a difference only if
// the lines have the same first word, the kind of answer.
func (c *comparer) equalLines(a, b []string) bool {
	a, b = comparedWords(a), comparedWords(b)
	if len(a) != len(b) || a[0] != b[0] {
		return false
	}
	for i := range a {
		if rule := wordRuleOf(a[0], i, a[i]); rule != nil {
			if !rule.equal(c, a[i], b[i]) {
				return false
			}
		} else if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (c *comparer) equalPackets(a, b *packet) bool {
	if !c.sameCAS(a.cas, b.cas) {
		return false
	}
	x, y := *a, *b
	x.cas, y.cas = 0, 0
	if x.opcode == opVersion && x.status == 0 {
		x.value, y.value = "", "" // as versionRule
	}
	return x == y
}
