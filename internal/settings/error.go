package settings

import "fmt"

// Error says in one sentence what is wrong with a configuration and what to
// change.
type Error struct{ text string }

// Error implements error.
func (e *Error) Error() string { return e.text }

// Errorf returns an *Error with the text that fmt.Sprintf makes.
func Errorf(format string, args ...any) error {
	return &Error{text: fmt.Sprintf(format, args...)}
}
