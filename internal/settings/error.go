package settings

import "fmt"

// Error says in one sentence what is wrong with a configuration and what to
// change.
type Error struct {
	text  string
	usage bool
}

// Error implements error.
func (e *Error) Error() string { return e.text }

// Usage reports whether what is wrong is on the command line, and not in a file or
// in the environment.
func (e *Error) Usage() bool { return e.usage }

// Errorf returns an *Error with the text that fmt.Sprintf makes.
func Errorf(format string, args ...any) error {
	return &Error{text: fmt.Sprintf(format, args...)}
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
