package replication

import (
	"context"
	"fmt"
	"log/slog"
)

// levelTrace is below slog's Debug: what the raft library itself says, in its own
// numbers of the servers.
const levelTrace = slog.LevelDebug - 4

// raftLogger passes raft's log to slog. raft calls Fatal and Panic only where
// an invariant is broken: both panic, with a raftPanic.
type raftLogger struct{ l *slog.Logger }

func (r raftLogger) Debug(v ...any)                   { r.debug("", v) }
func (r raftLogger) Debugf(format string, v ...any)   { r.debug(format, v) }
func (r raftLogger) Info(v ...any)                    { r.debug("", v) }
func (r raftLogger) Infof(format string, v ...any)    { r.debug(format, v) }
func (r raftLogger) Warning(v ...any)                 { r.debug("", v) }
func (r raftLogger) Warningf(format string, v ...any) { r.debug(format, v) }
func (r raftLogger) Error(v ...any)                   { r.l.Error(fmt.Sprint(v...)) }
func (r raftLogger) Errorf(format string, v ...any)   { r.l.Error(fmt.Sprintf(format, v...)) }
func (r raftLogger) Fatal(v ...any)                   { panic(raftPanic{fmt.Sprint(v...)}) }
func (r raftLogger) Fatalf(format string, v ...any)   { panic(raftPanic{fmt.Sprintf(format, v...)}) }
func (r raftLogger) Panic(v ...any)                   { panic(raftPanic{fmt.Sprint(v...)}) }
func (r raftLogger) Panicf(format string, v ...any)   { panic(raftPanic{fmt.Sprintf(format, v...)}) }

// debug takes raft's Info and Warning too: Replica logs what an operator wants to know.
func (r raftLogger) debug(format string, v []any) {
	ctx := context.Background()
	switch {
	case !r.l.Enabled(ctx, levelTrace):
	case format == "":
		r.l.Log(ctx, levelTrace, fmt.Sprint(v...))
	default:
		r.l.Log(ctx, levelTrace, fmt.Sprintf(format, v...))
	}
}
