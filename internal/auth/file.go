package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

const (
	// usersMax is MAX_ENTRIES of memcached's authfile.c.
	usersMax = 8

	// lineBytesMax is MAX_ENTRY_LEN of memcached's authfile.c without the line feed
	// and the zero byte that it counts.
	lineBytesMax = 254

	// fileBytesMax is how long a file may be. One with the most users and prefixes, as
	// long as they may be, has about half of it.
	fileBytesMax = 64 << 10
)

// File is the users of a file. Its methods may be called from any goroutine.
type File struct {
	name  string
	users atomic.Pointer[[]user]
}

// user is a line of a file, and what the user with its name may do.
type user struct {
	digest digest
	access access
}

// digest is what is kept of a user and a password. All digests have the same
// length, so that a comparison takes the same time for every user.
type digest [2 * sha256.Size]byte

// Open reads a file. Its errors have memcached's wording.
func Open(name string) (*File, error) {
	f := &File{name: name}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Name returns the file's name.
func (f *File) Name() string { return f.name }

// Reload reads the file again. After an error the previous users stay.
func (f *File) Reload() error {
	text, err := read(f.name)
	if err != nil {
		return fmt.Errorf("could not open authfile [%s] for reading, error %w", f.name, err)
	}
	entries, err := parse(text)
	if err != nil {
		return fmt.Errorf("authfile [%s] %w", f.name, err)
	}
	users := digestUsers(entries)
	f.users.Store(&users)
	return nil
}

// read returns the beginning of a file, up to one byte more than a valid file has.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return io.ReadAll(io.LimitReader(f, fileBytesMax+1))
}

// First returns the first user of a file who may do everything, with the password, for
// a program that uses the cache on the operator's behalf.
func First(name string) (user, password []byte, err error) {
	text, err := read(name)
	if err != nil {
		return nil, nil, fmt.Errorf("could not open authfile [%s] for reading, error %w", name, err)
	}
	entries, err := parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("authfile [%s] %w", name, err)
	}
	for _, e := range entries {
		if !e.access.limited() {
			return e.user, e.password, nil
		}
	}
	return nil, nil, fmt.Errorf("authfile [%s] names no user who may do everything", name)
}

// digestUsers returns what is kept of the entries of a file.
func digestUsers(entries []entry) []user {
	users := make([]user, len(entries))
	for i, e := range entries {
		users[i] = user{digest: digestOf(e.user, e.password), access: e.access}
	}
	return users
}

func digestOf(user, password []byte) (d digest) {
	u, p := sha256.Sum256(user), sha256.Sum256(password)
	copy(d[:], u[:])
	copy(d[sha256.Size:], p[:])
	return d
}

// Authenticate reports whether the user has this password, and what the user may do:
// change nothing if readOnly, and use only keys with one of the prefixes unless there
// are none. The prefixes must not be changed. The time that it takes reveals nothing about
// user and password: it compares with all users, and compares whole digests.
func (f *File) Authenticate(user, password []byte) (readOnly bool, prefixes [][]byte, ok bool) {
	asked := digestOf(user, password)
	found := -1
	users := *f.users.Load()
	for i := range users {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(asked[:], users[i].digest[:]), i, found)
	}
	if found < 0 {
		return false, nil, false
	}
	a := &users[found].access
	return a.readOnly, a.prefixes, true
}
