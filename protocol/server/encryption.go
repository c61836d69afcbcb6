package server

import (
	"crypto/tls"
	"errors"
	"strings"

	"raftcached/internal/handshake"
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// refreshesMax bounds how often the certificates are read at a time: a client that asks and goes
// away leaves nothing else that would.
const refreshesMax = 8

// Encryption is how clients are served with TLS.
type Encryption struct {
	Config *tls.Config

	// Plain is how many of Options.Listen, the last ones, are served without TLS. The
	// others serve nobody without it.
	Plain int

	// Reload reads the certificates again, for the command refresh_certs. It may block,
	// and is called on goroutines of its own.
	Reload func() error

	Settings stats.Encryption // for stats settings

	// Handshakes bounds their processor time; nil: half of the processors.
	Handshakes *handshake.Port
}

// handshakes is what bounds them; nil, if there is no TLS or nothing else takes part.
func (e *Encryption) handshakes() *handshake.Port {
	if e == nil {
		return nil
	}
	return e.Handshakes
}

// configs returns the configuration of each of n listeners.
func (e *Encryption) configs(n int) []*tls.Config {
	if e == nil {
		return nil
	}
	all := make([]*tls.Config, n)
	for i := range n - e.Plain {
		all[i] = e.Config
	}
	return all
}

// startRefresh begins to read the certificates again, unless that is done, and returns
// what refresh_certs has to wait for. Files may be slow, so it is not the loop that reads
// them.
func (c *conn) startRefresh() wait {
	if c.refreshed != nil {
		return waitNothing
	}
	reload, l := c.loop.options.Encryption.Reload, c.loop
	underWay := &l.server.refreshes
	if underWay.Add(1) > refreshesMax {
		underWay.Add(-1)
		c.refreshed = &refresh{errors.New("they are being read already, try again later")}
		return waitNothing
	}
	go func() {
		err := reload()
		underWay.Add(-1)
		l.Post(func() {
			c.refreshed = &refresh{err}
			c.came(waitRefresh)
			c.serve()
		})
	}()
	return waitRefresh
}

// refresh is how reading the certificates again went.
type refresh struct{ err error }

// answerRefresh answers refresh_certs: with what is wrong, as memcached does.
func (c *conn) answerRefresh(req *protocol.Request) {
	err := c.refreshed.err
	c.refreshed = nil
	if err != nil {
		reason := strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error())
		c.refuse(req, "SERVER_ERROR the certificates stay as they were: "+reason+"\r\n", protocol.StatusNotFound)
		return
	}
	c.confirm(req, "OK\r\n", "")
}
