package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"raftcached/replication/identity"
)

const (
	// joinTimeout is how long a member may take to have a folder admitted: its leader
	// needs a majority, and may be elected meanwhile.
	joinTimeout = 10 * time.Second

	// joinRetry is how long a node that is to join waits before it asks again.
	joinRetry = 200 * time.Millisecond

	// joinReport is how often it reports why it still waits.
	joinReport = 5 * time.Second
)

// Joiner is a server with an empty data folder that asks to come in. It knows the
// secret.
type Joiner struct {
	ServerID    int
	DirectoryID identity.DirectoryID
	Host        string // where the others are to find it; empty: as they have it
	ClientPort  int
	LogPort     int
	Replaces    bool // it may take the place of its server's folder without an operator's word
}

// joiner is who sends the hello of a join stream.
func (h *Hello) joiner() Joiner {
	j := Joiner{ServerID: h.ServerID, DirectoryID: h.DirectoryID, Replaces: h.Replaces}
	for _, m := range h.Members {
		if m.ServerID == h.ServerID {
			j.Host, j.ClientPort, j.LogPort = m.Host, m.ClientPort, m.LogPort
		}
	}
	return j
}

// admit has a folder admitted that asks for it, and answers with a hello in which it is
// a member. It may be one already: it asks again if it has not heard the answer.
func (t *Transport) admit(conn net.Conn, remote *Hello) error {
	ctx, cancel := context.WithTimeout(t.ctx, joinTimeout)
	defer cancel()
	err := t.config.Admit(ctx, remote.joiner())
	if err == nil {
		err = t.meet(remote) // a copy of a folder that was empty asks like the folder
	} else if !final(err) {
		err = refuseNow("%v", err)
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if err != nil {
		return t.refuse(conn, err)
	}
	hello, err := t.hello(StreamJoin)
	if err != nil {
		return err
	}
	return writeFrame(conn, hello)
}

// Join asks at the log ports until a member has this node's empty data folder admitted,
// and returns the cluster, which the caller must make durable before it takes part. It
// is asked of every member that it hears of: not each of them can do it at any time. A
// refusal that does not pass by itself ends it, if who says it has proved to be a server of the
// cluster, or nobody can prove that, unless it is about versions (RefusedError.Apart). While it waits, it calls report from time to time.
func Join(ctx context.Context, c Config, addrs []string, report func(text string)) (identity.Cluster, error) {
	t := newTransport(c)
	defer t.cancel()
	given := len(addrs)
	addrs = slices.Clone(addrs)
	reported := time.Now()
	for {
		var waits []string
		for i := 0; i < len(addrs); i++ {
			cluster, found, err := t.joinAt(ctx, addrs[i])
			if err == nil {
				return cluster, nil
			}
			if i < given && !isRefused(err) {
				err = errors.Join(err, t.doubt(otherPort(ctx, addrs[i]), false))
			}
			if fault := t.fault(err); fault != nil {
				err = fault
			}
			if final(err) {
				return identity.Cluster{}, fmt.Errorf("join the cluster at %s: %w", addrs[i], err)
			}
			t.logDoubtful(anyServer, addrs[i], StreamJoin, err)
			waits = append(waits, fmt.Sprintf("%s: %s", addrs[i], reason(err)))
			for _, addr := range found {
				if !slices.Contains(addrs, addr) {
					addrs = append(addrs, addr)
				}
			}
		}
		if time.Since(reported) >= joinReport {
			reported = time.Now()
			report("waiting to join the cluster: " + strings.Join(waits, "; "))
		}
		select {
		case <-ctx.Done():
			return identity.Cluster{}, fmt.Errorf("join the cluster: %s: %w", strings.Join(waits, "; "), context.Cause(ctx))
		case <-time.After(joinRetry):
		}
	}
}

// otherPort returns a refusal if a server is asked at a port of its that is not for servers:
// one for clients answers a line of memcached's, an admin port is HTTP's.
func otherPort(ctx context.Context, addr string) error {
	d := net.Dialer{Timeout: handshakeTimeout}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil // as joinAt has found
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var head [4]byte
	err = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err == nil {
		_, err = io.WriteString(conn, "version\r\n\r\n")
	}
	if err == nil {
		_, err = io.ReadFull(conn, head[:])
	}
	const advice = "name the log port of a member, as `raftcachectl member list` shows it"
	switch word := string(head[:]); {
	case err != nil:
		return nil
	case word == "HTTP":
		return refuse("this is an admin port, not one for servers: %s", advice)
	case slices.Contains([]string{"VERS", "ERRO", "CLIE", "SERV"}, word):
		return refuse("this is a port for clients, not one for servers: %s", advice)
	}
	return nil
}

// joinAt asks one server, and returns where it has other members.
func (t *Transport) joinAt(ctx context.Context, addr string) (c identity.Cluster, found []string, err error) {
	conn, remote, err := t.dial(ctx, addr, anyServer, StreamJoin)
	if err != nil {
		return c, nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for _, m := range remote.roster().Members {
		if m.LogPort != 0 && m.ServerID != t.config.ServerID && !m.Retired {
			found = append(found, address(m))
		}
	}
	if err := conn.SetDeadline(time.Now().Add(joinTimeout + handshakeTimeout)); err != nil {
		return c, found, err
	}
	b, err := readFrame(conn)
	if err != nil {
		return c, found, fmt.Errorf("await the answer: %w", err)
	}
	answer, err := readHello(b)
	if err != nil {
		return c, found, t.doubt(err, remote.proved)
	}
	for _, m := range answer.roster().Members {
		if m.DirectoryID == t.config.DirectoryID && m.RaftID != 0 {
			return identity.Cluster{ID: answer.ClusterID, Constants: answer.Constants, Members: answer.Members, RaftID: m.RaftID, Roster: answer.Roster, Lost: answer.Lost}, found, nil
		}
	}
	return c, found, fmt.Errorf("the answer does not name this data folder: %w", errMalformed)
}
