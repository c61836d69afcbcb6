package serve

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is systemd, or whoever else listens at NOTIFY_SOCKET (sd_notify(3)). Without
// one nothing is sent.
type supervisor struct{ log *slog.Logger }

func (s supervisor) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("tell the supervisor", "state", state, "error", err)
	}
}

// ready tells that the server serves clients.
func (s supervisor) ready(node Node) {
	s.tell(fmt.Sprintf("%s\nSTATUS=serving clients at %s, servers %s", daemon.SdNotifyReady, texts(node.ClientAddrs()), texts(node.Members())))
}

func (s supervisor) stopping() { s.tell(daemon.SdNotifyStopping + "\nSTATUS=stopping") }

// watch tells the watchdog, if there is one, that the server is alive: twice in each
// period, as long as it is. It returns when the context ends.
func (s supervisor) watch(ctx context.Context, node Node) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("ask for the watchdog's period", "error", err)
	}
	if period <= 0 {
		return
	}
	tick := time.NewTicker(period / 2)
	defer tick.Stop()
	for {
		if err := s.alive(ctx, node, period/2); err == nil {
			s.tell(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			s.log.Warn("the watchdog is not told that this server is alive", "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s supervisor) alive(ctx context.Context, node Node, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return node.Alive(ctx)
}
