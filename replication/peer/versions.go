package peer

import (
	"fmt"
	"net"

	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

const (
	// helloVersion is the first version whose hello has the form that all later ones keep:
	// nineteen values, and after them a second array that may get longer.
	helloVersion = 8

	// protocolLeast is the lowest version between servers that this program speaks.
	// protocolGreatest is the highest one.
	protocolLeast = helloVersion

	// versionsFields is how many values this program writes after those of version 8, and
	// versionsFieldsMax how many a later one may write.
	versionsFields    = 3
	versionsFieldsMax = 16

	// formedVersion is the cluster version of a program, and of a cluster, that tells none.
	formedVersion = 1
)

// Versions is what a node's program can do, and what its cluster does.
type Versions struct {
	Least, Greatest uint64 // between servers

	Known   uint64 // the highest cluster version that the program knows
	Cluster uint64 // that of the cluster, as far as the node has applied its log; at first 1
}

// ourVersions is what this program speaks.
var ourVersions = Versions{Least: protocolLeast, Greatest: protocolGreatest}

// common returns the highest version that both sides speak.
func (v Versions) common(remote Versions) (uint64, error) {
	if highest := min(v.Greatest, remote.Greatest); highest >= max(v.Least, remote.Least) {
		return highest, nil
	}
	return 0, &RefusedError{Ours: true, Apart: true, Sentence: fmt.Sprintf("peer speaks version %s, this program %s: run the same raftcached everywhere", remote.speech(), v.speech())}
}

func (v Versions) speech() string {
	if v.Least == v.Greatest {
		return fmt.Sprint(v.Least)
	}
	return fmt.Sprintf("%d to %d", v.Least, v.Greatest)
}

// append appends what follows the nineteen values of a hello. Programs of version 8 that
// know no further one do not look there.
func (v Versions) append(dst []byte) []byte {
	dst = frame.AppendArrayLen(dst, versionsFields)
	for _, n := range []uint64{v.Greatest, v.Known, v.Cluster} {
		dst = frame.AppendUint(dst, n)
	}
	return dst
}

// versions reads what append wrote, and passes over what later programs add. Without it the
// peer is one that speaks one version alone.
func (f *fields) versions(least uint64) Versions {
	v := Versions{Least: least, Greatest: least, Known: formedVersion, Cluster: formedVersion}
	if f.err != nil || len(f.Rest()) == 0 {
		return v
	}
	var n int
	if n, f.err = f.ArrayLen(versionsFieldsMax); f.err == nil && n < versionsFields {
		f.err = errMalformed
	}
	v.Greatest, v.Known, v.Cluster = f.uint(), f.uint(), f.uint()
	if f.err == nil && v.Greatest < least {
		f.err = errMalformed
	}
	return v
}

// LaterError reports that the cluster has a version that this node's program does not know.
// The node must stop, until a newer program runs in its place.
type LaterError struct{ Sentence string }

func (e *LaterError) Error() string { return e.Sentence }

// tellVersions answers a peer with which this node has no version in common, and returns why. A
// hello tells what it speaks, in the form that all versions have: so the peer finds out by itself
// what a refusal would only say.
func (t *Transport) tellVersions(conn net.Conn, apart *RefusedError) error {
	hello, err := t.hello(StreamForm)
	if err == nil {
		err = writeFrame(conn, hello)
	}
	if err != nil {
		return err
	}
	return apart
}

// agree chooses the version that this node and a peer use.
func (t *Transport) agree(remote *Hello) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	remote.Speaks, err = t.self.Versions.common(remote.Versions)
	return err
}

// checkVersions decides between two members, by what their programs can do and what the
// cluster does. t.mu is held.
func (t *Transport) checkVersions(remote *Hello) error {
	const sentence = "the cluster has version %d, and the program of server %d knows %d: run a newer raftcached there"
	switch ours, theirs := t.self.Versions, remote.Versions; {
	case ours.Cluster > theirs.Known:
		return refuse(sentence, ours.Cluster, remote.ServerID, theirs.Known)
	case theirs.Cluster > ours.Known:
		return &LaterError{fmt.Sprintf(sentence, theirs.Cluster, t.self.ServerID, ours.Known)}
	}
	return nil
}

// raiseVersion takes the cluster version of a roster, which never falls. t.mu is held.
func (t *Transport) raiseVersion(r *identity.Roster) {
	t.self.Versions.Cluster = max(t.self.Versions.Cluster, r.ClusterVersion)
}
