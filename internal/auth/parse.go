package auth

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// accessHeader is the line after which the lines say what users may do. memcached
	// refuses it, as any line without a colon.
	accessHeader = "[access]"

	// prefixesMax is how many prefixes a user may have. Each is compared with each key.
	prefixesMax = 16

	// prefixBytesMax is the longest key (protocol.txt, "Keys").
	prefixBytesMax = 250

	// The words of a line after the header.
	wordReadOnly = "read-only"
	wordPrefix   = "prefix="
)

// entry is a user of a file.
type entry struct {
	user, password []byte
	access         access
}

// access is what a user may do: everything if it is zero.
type access struct {
	readOnly bool
	prefixes [][]byte
}

func (a *access) limited() bool { return a.readOnly || len(a.prefixes) > 0 }

// fileParser reads the lines of a file.
type fileParser struct {
	entries []entry
	ruled   map[string]bool // users that have a line after the header
	header  bool            // it has come
}

// parse reads the lines of a file. An error begins with the line's number.
func parse(text []byte) ([]entry, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("is longer than %d bytes: keep %d users", fileBytesMax, usersMax)
	}
	p := fileParser{ruled: make(map[string]bool)}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if end := bytes.IndexByte(line, '\r'); end >= 0 {
			line = line[:end]
		}
		if err := p.parseLine(line); err != nil {
			return nil, fmt.Errorf("line %d %w", number, err)
		}
	}
	return p.entries, nil
}

func (p *fileParser) parseLine(line []byte) error {
	switch {
	case !p.header && string(line) == accessHeader:
		p.header = true
		return nil
	case !p.header:
		return p.parseUser(line)
	case len(line) == 0:
		return nil
	default:
		return p.parseAccess(line)
	}
}

// parseUser reads USER:PASSWORD.
func (p *fileParser) parseUser(line []byte) error {
	user, password, parted := bytes.Cut(line, []byte{':'})
	switch {
	case !parted || bytes.IndexByte(line, 0) >= 0:
		return fmt.Errorf("has a malformed entry. Should be 'user:password'")
	case len(line) > lineBytesMax:
		return fmt.Errorf("has an entry of %d bytes: keep it to %d", len(line), lineBytesMax)
	case len(p.entries) == usersMax:
		return fmt.Errorf("is one of more than %d users: keep %d", usersMax, usersMax)
	}
	p.entries = append(p.entries, entry{user: user, password: password})
	return nil
}

// parseAccess reads USER:WORD WORD..., and gives what it says to all entries of the
// user.
func (p *fileParser) parseAccess(line []byte) error {
	user, words, parted := bytes.Cut(line, []byte{':'})
	switch {
	case !parted || bytes.IndexByte(line, 0) >= 0:
		return fmt.Errorf("has a malformed entry. After %s it should be 'user: read-only prefix=PREFIX'", accessHeader)
	case p.ruled[string(user)]:
		return fmt.Errorf("says again what user %q may do: write one line for a user", user)
	}
	a, err := parseWords(user, string(words))
	if err != nil {
		return err
	}
	p.ruled[string(user)] = true
	known := false
	for i := range p.entries {
		if bytes.Equal(p.entries[i].user, user) {
			p.entries[i].access, known = a, true
		}
	}
	if !known {
		return fmt.Errorf("limits user %q, for whom there is no 'user:password' above %s", user, accessHeader)
	}
	return nil
}

// parseWords reads what a user may do.
func parseWords(user []byte, words string) (a access, err error) {
	for word := range strings.FieldsFuncSeq(words, func(r rune) bool { return r == ' ' || r == '\t' }) {
		prefix, isPrefix := strings.CutPrefix(word, wordPrefix)
		switch {
		case word == wordReadOnly && a.readOnly:
			return a, fmt.Errorf("says %s twice of user %q", wordReadOnly, user)
		case word == wordReadOnly:
			a.readOnly = true
		case !isPrefix:
			return a, fmt.Errorf("has the unknown word %q for user %q: write %s or %sPREFIX", word, user, wordReadOnly, wordPrefix)
		case prefix == "":
			return a, fmt.Errorf("has an empty prefix for user %q: leave it out to allow all keys", user)
		case len(prefix) > prefixBytesMax:
			return a, fmt.Errorf("has a prefix of %d bytes for user %q: a key has %d at most", len(prefix), user, prefixBytesMax)
		case len(a.prefixes) == prefixesMax:
			return a, fmt.Errorf("has more than %d prefixes for user %q: keep %d", prefixesMax, user, prefixesMax)
		default:
			a.prefixes = append(a.prefixes, []byte(prefix))
		}
	}
	if !a.limited() {
		return a, fmt.Errorf("does not say what user %q may do: write %s or %sPREFIX, or leave the line out", user, wordReadOnly, wordPrefix)
	}
	return a, nil
}
