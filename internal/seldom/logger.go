package seldom

import (
	"log/slog"
	"time"
)

// Logger logs each sentence once in a Period, with how often it would have been since. Any
// goroutine may use it.
type Logger struct {
	To *slog.Logger

	news News[string]
}

// Error logs an error. What differs from one connection to the next belongs into the attributes.
func (l *Logger) Error(sentence string, attributes ...any) {
	times, tell := l.news.Tell(sentence, time.Now())
	if !tell {
		return
	}
	if times > 1 {
		attributes = append(attributes, "times", times)
	}
	l.To.Error(sentence, attributes...)
}
