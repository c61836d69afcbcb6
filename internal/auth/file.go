package auth

import (
	"bytes"
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

	// fileBytesMax is the length of the longest valid file.
	fileBytesMax = usersMax * (lineBytesMax + 2)
)

// File is the users of a file. Its methods may be called from any goroutine.
type File struct {
	name  string
	users atomic.Pointer[[]digest]
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
	users, err := parse(text)
	if err != nil {
		return fmt.Errorf("authfile [%s] %w", f.name, err)
	}
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

// First returns the first user of a file with the password, for a program that
// uses the cache on the operator's behalf.
func First(name string) (user, password []byte, err error) {
	text, err := read(name)
	if err != nil {
		return nil, nil, fmt.Errorf("could not open authfile [%s] for reading, error %w", name, err)
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	user, password, parted := bytes.Cut(bytes.TrimSuffix(line, []byte{'\r'}), []byte{':'})
	if !parted {
		return nil, nil, fmt.Errorf("authfile [%s] names no user", name)
	}
	return user, password, nil
}

// parse reads the lines of a file.
func parse(text []byte) ([]digest, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("is longer than %d bytes: keep %d users", fileBytesMax, usersMax)
	}
	var users []digest
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if end := bytes.IndexByte(line, '\r'); end >= 0 {
			line = line[:end]
		}
		user, password, parted := bytes.Cut(line, []byte{':'})
		switch {
		case !parted || bytes.IndexByte(line, 0) >= 0:
			return nil, fmt.Errorf("has a malformed entry. Should be 'user:password'")
		case len(line) > lineBytesMax:
			return nil, fmt.Errorf("has an entry of %d bytes: keep it to %d", len(line), lineBytesMax)
		case len(users) == usersMax:
			return nil, fmt.Errorf("has more than %d users: keep %d", usersMax, usersMax)
		}
		users = append(users, digestOf(user, password))
	}
	return users, nil
}

func digestOf(user, password []byte) (d digest) {
	u, p := sha256.Sum256(user), sha256.Sum256(password)
	copy(d[:], u[:])
	copy(d[sha256.Size:], p[:])
	return d
}

// Authenticate reports whether the user has this password. The time that it takes
// reveals nothing about either: it compares with all users, and compares whole
// digests.
func (f *File) Authenticate(user, password []byte) bool {
	asked := digestOf(user, password)
	known := 0
	users := *f.users.Load()
	for i := range users {
		known |= subtle.ConstantTimeCompare(asked[:], users[i][:])
	}
	return known == 1
}
