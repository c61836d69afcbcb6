package peer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

// nonceBytes is the size of the random number in a hello, which makes a proof good
// for one handshake only.
const nonceBytes = 16

// The two sides of a handshake.
const (
	dialer   = 'd'
	acceptor = 'a'
)

// proof shows that a side knows the secret, which itself does not travel. It covers
// both hellos, and so nonces, identities and stream.
func proof(secret []byte, side byte, dialed, accepted []byte) []byte {
	h := hmac.New(sha256.New, secret)
	for _, hello := range [][]byte{dialed, accepted} {
		h.Write([]byte{side})
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(hello))))
		h.Write(hello)
	}
	return h.Sum(nil)
}

// greetOn introduces this node on a connection that it has dialed, and returns the hello
// of the peer if that knows the secret, also with an error. Of two refusals the peer's
// counts: it may end this node. Before it has proved the secret, or shown a certificate,
// nothing that it says can.
func (t *Transport) greetOn(conn net.Conn, s Stream) (*Hello, error) {
	_, proved := conn.(secured)
	ours, err := t.hello(s)
	if err != nil {
		return nil, err
	}
	if err := writeFrame(conn, ours); err != nil {
		return nil, err
	}
	theirs, err := readFrame(conn)
	if err != nil {
		return nil, fmt.Errorf("read hello: %w", err)
	}
	remote, err := readHello(theirs)
	if err != nil {
		return nil, t.doubt(unproved(err), proved)
	}
	if err := t.checkUnproved(conn, &remote); err != nil {
		return nil, t.doubt(byUs(err), proved)
	}
	secret := t.secretFor(&remote)
	err = readProof(conn, proof(secret, acceptor, ours, theirs))
	if errors.Is(err, errWrongSecret) {
		err = byUs(refuse("server %d has another secret for the log port than server %d: give all servers the same secret", remote.ServerID, t.config.ServerID))
		return nil, t.doubt(err, proved)
	}
	if err != nil {
		return nil, fmt.Errorf("server %d: %w", remote.ServerID, err)
	}
	remote.proved = proved || len(secret) > 0
	declined := t.checkDialed(&remote, s)
	err = writeFrame(conn, appendContents(nil, kindProof, proof(secret, dialer, ours, theirs)))
	if err == nil {
		err = readAnswer(conn)
	}
	if later, is := errors.AsType[*LaterError](declined); is && (remote.proved || t.believesAll()) {
		err = later // which the peer may have told as a refusal that does not end this node
	} else if declined != nil && !isRefused(err) {
		err = declined
	}
	return &remote, errors.Join(t.doubt(err, remote.proved), conn.SetDeadline(time.Time{}))
}

// checkDialed decides on the peer that a connection has led to.
func (t *Transport) checkDialed(remote *Hello, s Stream) error {
	if s == StreamForm || s == StreamJoin {
		return nil
	}
	t.mu.Lock()
	err := t.checkMember(remote)
	t.mu.Unlock()
	if err == nil {
		err = t.know(remote)
	}
	if errors.As(err, new(*LaterError)) {
		return err
	}
	if err != nil {
		return fmt.Errorf("reached a server that cannot take part: %s", err.Error()) // which is no refusal of this node
	}
	return nil
}

// know takes what the hello of a member says: one that has proved to know the secret,
// and is admitted.
func (t *Transport) know(remote *Hello) error {
	if err := t.meet(remote); err != nil || remote.Roster == nil {
		return err
	}
	return t.learn(remote.Roster)
}

// meet compares the peer's folder with what is remembered of it.
func (t *Transport) meet(remote *Hello) error {
	err := t.config.Memory.Meet(remote.DirectoryID, remote.Lineage)
	var outdated *identity.OutdatedError
	if errors.As(err, &outdated) {
		return &OutdatedError{fmt.Sprintf("the data folder of server %d is a copy, and may lack what the server has acknowledged: %v; %s",
			remote.ServerID, err, remedy(remote.ServerID))}
	}
	return err
}

// remedy says how to bring back a server whose folder is of no use.
func remedy(serverID int) string {
	return fmt.Sprintf("run `raftcachectl member replace %d` at another server, and start server %d with an empty folder", serverID, serverID)
}

// answer shakes hands on a connection that a peer has dialed, and decides on the
// peer. An error that is no refusal was not told.
func (t *Transport) answer(conn net.Conn) (remote Hello, err error) {
	theirs, err := readFrame(conn)
	if err != nil {
		return Hello{ServerID: anyServer}, err
	}
	remote, err = readHello(theirs)
	if err != nil {
		return Hello{ServerID: anyServer}, t.refuse(conn, err)
	}
	if err := t.checkUnproved(conn, &remote); err != nil {
		return remote, t.refuse(conn, err)
	}
	ours, err := t.hello(remote.Stream)
	if err != nil {
		return remote, err
	}
	if err := writeFrame(conn, ours); err != nil {
		return remote, err
	}
	secret := t.secretFor(&remote)
	if err := writeFrame(conn, appendContents(nil, kindProof, proof(secret, acceptor, theirs, ours))); err != nil {
		return remote, err
	}
	err = readProof(conn, proof(secret, dialer, theirs, ours))
	if err == nil {
		err = t.check(&remote)
	}
	if err != nil {
		return remote, t.refuse(conn, err)
	}
	return remote, writeFrame(conn, frame.AppendUint(frame.AppendArrayLen(nil, 1), kindAccepted))
}

// refuse tells a peer why it is refused, and returns that.
func (t *Transport) refuse(conn net.Conn, reason error) error {
	if errors.Is(reason, io.EOF) || errors.Is(reason, net.ErrClosed) {
		return reason
	}
	if refused, is := errors.AsType[*RefusedError](reason); is && refused.Apart {
		return t.tellVersions(conn, refused)
	}
	kind, sentence := kindOfRefusal(reason), reason.Error()
	sentence = sentence[:min(len(sentence), refusalBytesMax)]
	if err := writeFrame(conn, frame.AppendString(frame.AppendUint(frame.AppendArrayLen(nil, 2), kind), sentence)); err != nil {
		return err
	}
	return refusalOf(kind, sentence)
}

// checkUnproved decides on a hello whose sender has not proved the secret yet.
func (t *Transport) checkUnproved(conn net.Conn, remote *Hello) error {
	if err := t.agree(remote); err != nil {
		return err
	}
	if err := t.checkNamed(conn, remote); err != nil {
		return err
	}
	if err := t.checkSelf(remote); err != nil {
		return err
	}
	return t.checkGuard(remote)
}

// checkGuard refuses a peer that demands a secret if this node has none, or the other
// way round.
func (t *Transport) checkGuard(remote *Hello) error {
	with, without := t.config.ServerID, remote.ServerID
	switch ours, theirs := t.self.Guard, remote.Guard; {
	case ours == Guarded && theirs == Open:
	case ours == Open && theirs == Guarded:
		with, without = without, with
	default:
		return nil
	}
	return refuse("server %d has a secret for the log port and server %d has none: give all servers the same secret", with, without)
}

// secretFor is the key of proofs between this node and a peer, which checkGuard has let
// pass: none, unless both have one.
func (t *Transport) secretFor(remote *Hello) []byte {
	if remote.Guard == Open {
		return nil
	}
	return t.config.Secret
}

// checkSelf refuses this very process: an address that leads back, or somebody who sends
// back what this node has sent, to have it answer its own questions.
func (t *Transport) checkSelf(remote *Hello) error {
	ours, theirs := t.self.Lineage.Incarnations, remote.Lineage.Incarnations
	if remote.DirectoryID != t.self.DirectoryID || !slices.Equal(ours, theirs) {
		return nil
	}
	return refuse("server %d has reached itself: correct the address at which it looks for another server", t.self.ServerID)
}

// unproved is an error of a peer that has not proved the secret: it cannot end this node.
func unproved(err error) error {
	if isRefused(err) && !errors.As(err, new(*RefusedError)) {
		return &RefusedError{Sentence: err.Error()}
	}
	return err
}

// errWrongSecret refuses a peer that has a secret, but another one.
var errWrongSecret = errors.New("its secret for the log port is another one: give all servers the same secret")

// readProof reads the peer's proof, which must be the given one.
func readProof(conn net.Conn, want []byte) error {
	b, err := readFrame(conn)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	r := frame.NewReader(b)
	kind, err := readKind(&r)
	if err != nil || kind != kindProof {
		return fmt.Errorf("read proof: kind %d: %w", kind, errors.Join(err, errMalformed))
	}
	got, err := r.Bytes(sha256.Size)
	if err != nil {
		return fmt.Errorf("read proof: %w", err)
	}
	if !hmac.Equal(got, want) {
		return errWrongSecret
	}
	return nil
}

// readAnswer reads how the peer has decided.
func readAnswer(conn net.Conn) error {
	b, err := readFrame(conn)
	if err != nil {
		return fmt.Errorf("await the end of the handshake: %w", err)
	}
	r := frame.NewReader(b)
	kind, err := readKind(&r)
	if err != nil || kind == kindAccepted {
		return err
	}
	sentence, err := r.String(refusalBytesMax)
	switch {
	case err != nil:
		return fmt.Errorf("read refusal: %w", err)
	case isRefusal(kind):
		return refusalOf(kind, strings.Map(printable, sentence))
	}
	return fmt.Errorf("frame of kind %d at the end of the handshake: %w", kind, errMalformed)
}

// hello is this node's hello for a stream, encoded, with a new nonce.
func (t *Transport) hello(s Stream) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.self
	h.Stream = s
	if t.roster != nil && t.roster.Version > 0 {
		h.Roster = t.roster
	}
	if _, err := rand.Read(h.Nonce[:]); err != nil {
		return nil, fmt.Errorf("choose nonce: %w", err)
	}
	return encodeHello(&h), nil
}
