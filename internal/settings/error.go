package settings

import "fmt"

// Error says in one sentence what is wrong with a configuration, or with what it names, and
// what to change: to start again does not help before.
type Error struct {
	text  string
	usage bool
	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.text }

// Unwrap returns what has told it, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Usage reports whether what is wrong is on the command line, and not in a file or
// in the environment.
func (e *Error) Usage() bool { return e.usage }

// Errorf returns an *Error with the text that fmt.Errorf makes, and what that wraps.
func Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{text: err.Error(), cause: err}
}

// usageErrorf is Errorf for what is wrong on the command line.
func usageErrorf(format string, args ...any) error {
	return &Error{text: fmt.Sprintf(format, args...), usage: true}
}

// errorf is Errorf for what is wrong with a given value.
func (g given) errorf(format string, args ...any) error {
	return &Error{text: fmt.Sprintf(format, args...), usage: g.origin.Source == FromFlag}
}

// Errorf is like the function of that name, for what is wrong with the value or the
// absence of a field that the line can set.
func (l *Line) Errorf(field, format string, args ...any) error {
	for _, g := range l.given {
		if g.setting.Field == field {
			return g.errorf(format, args...)
		}
	}
	return usageErrorf(format, args...)
}
