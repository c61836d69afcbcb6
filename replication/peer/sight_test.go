package peer

import (
	"errors"
	"net"
	"strings"
	"testing"
	"unicode"

	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

// TestNoAnswerYet: there is a reason while the first attempt to connect is under way too:
// something listens where the peer is to be, and says nothing.
func TestNoAnswerYet(t *testing.T) {
	list := members(2)
	silent, err := net.Listen("tcp", address(list[1]))
	must(t, err)
	defer func() { _ = silent.Close() }() // nothing was accepted
	n := listen(t, list, 0, nil)
	for i := range list {
		list[i].DirectoryID = identity.DirectoryID{byte(i + 1)}
	}
	n.take(identity.Cluster{ID: 1, RaftID: 1, Members: list})
	if s := n.Sight(2); s.Connected || s.Since.IsZero() || s.Why != "no answer yet" {
		t.Errorf("seen is %+v", s)
	}
}

// TestWhatStrangersSayIsPrintable: it is shown by raftcachectl, and must not be able to change
// what else is.
func TestWhatStrangersSayIsPrintable(t *testing.T) {
	const said = "\x1b[2Jall is well\r\n"
	a, b := net.Pipe()
	defer func() { _ = a.Close() }()
	go func() {
		_ = writeFrame(b, frame.AppendString(frame.AppendUint(frame.AppendArrayLen(nil, 2), kindRefusal), said))
		_ = b.Close()
	}()
	for what, text := range map[string]string{"a refusal": readAnswer(a).Error(), "an error": reason(errors.New(said))} {
		if strings.ContainsFunc(text, unicode.IsControl) || !strings.Contains(text, "all is well") {
			t.Errorf("%s is %q", what, text)
		}
	}
}
