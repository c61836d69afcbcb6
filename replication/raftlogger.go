package replication

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger passes raft's log to slog. raft calls Fatal and Panic only where
// an invariant is broken: both panic.
type raftLogger struct{ l *slog.Logger }

func (r raftLogger) Debug(v ...any)                 { r.debug("", v) }
func (r raftLogger) Debugf(format string, v ...any) { r.debug(format, v) }
func (r raftLogger) Info(v ...any)                  { r.debug("", v) }
func (r raftLogger) Infof(format string, v ...any)  { r.debug(format, v) }
func (r raftLogger) Warning(v ...any)               { r.l.Warn(fmt.Sprint(v...)) }
func (r raftLogger) Warningf(format string, v ...any) {
	r.l.Warn(fmt.Sprintf(format, v...))
}
func (r raftLogger) Error(v ...any)                 { r.l.Error(fmt.Sprint(v...)) }
func (r raftLogger) Errorf(format string, v ...any) { r.l.Error(fmt.Sprintf(format, v...)) }
func (r raftLogger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (r raftLogger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (r raftLogger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

// debug takes raft's Info too: Replica logs what an operator wants to know.
func (r raftLogger) debug(format string, v []any) {
	if !r.l.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	if format == "" {
		r.l.Debug(fmt.Sprint(v...))
		return
	}
	r.l.Debug(fmt.Sprintf(format, v...))
}
