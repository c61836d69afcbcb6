package eventloop

import (
	"fmt"
	"log/slog"
)

// gnetLog writes gnet's messages to a slog.Logger. gnet's notes on its
// own life are of use to a developer only.
type gnetLog struct{ to *slog.Logger }

// Debugf implements gnet's logging.Logger.
func (g gnetLog) Debugf(format string, args ...any) {
	g.to.Debug(fmt.Sprintf("gnet: "+format, args...))
}

// Infof implements gnet's logging.Logger.
func (g gnetLog) Infof(format string, args ...any) { g.to.Debug(fmt.Sprintf("gnet: "+format, args...)) }

// Warnf implements gnet's logging.Logger.
func (g gnetLog) Warnf(format string, args ...any) { g.to.Warn(fmt.Sprintf("gnet: "+format, args...)) }

// Errorf implements gnet's logging.Logger.
func (g gnetLog) Errorf(format string, args ...any) {
	g.to.Error(fmt.Sprintf("gnet: "+format, args...))
}

// Fatalf implements gnet's logging.Logger. gnet calls it nowhere.
func (g gnetLog) Fatalf(format string, args ...any) {
	g.to.Error(fmt.Sprintf("gnet: "+format, args...))
}
