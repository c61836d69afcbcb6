package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"

	"raftcached/replication/frame"
	"raftcached/replication/identity"

	pb "go.etcd.io/raft/v3/raftpb"
)

// goldenHello holds, a line each: kind, version, cluster, server, raft id,
// directory id, boot, incarnations and stream; nonce, secret and admin address; constants; members;
// roster, whether it replaces, and lost clusters. Behind them: greatest version, known and
// present cluster version.
const goldenHello = `
	dc0013 01 08 cf0000010000000000 02 cd012c c41001020300000000000000000000000000 07 92 05 06 04
	c410 09000000000000000000000000000000 c3 a3613a39
	96 ce04000000 ce00100000 c2 0a 1e a3616c6c
	91 99 02 cd012c c41001020300000000000000000000000000 ad63616368652e6578616d706c65 cd2bcb cd2c2f c2 c2 c2
	05 09 91 99 02 08 c41000000000000000000000000000000000 a0 00 00 c3 c2 c2 c3 91 0b
	93 0a 03 02`

// TestHelloBytes holds the format of the handshake: the other node may run
// another version of this program.
func TestHelloBytes(t *testing.T) {
	id := identity.DirectoryID{1, 2, 3}
	got := hex.EncodeToString(encodeHello(&Hello{
		ClusterID: 1 << 40, ServerID: 2, RaftID: 300, DirectoryID: id, Stream: StreamForward,
		Lineage: identity.Lineage{Boot: 7, Incarnations: []uint64{5, 6}}, Nonce: [nonceBytes]byte{9}, Guard: Guarded, AdminAddr: "a:9",
		Constants: testConstants,
		Members:   []identity.Member{{ServerID: 2, RaftID: 300, DirectoryID: id, Host: "cache.example", ClientPort: 11211, LogPort: 11311}},
		Roster:    &identity.Roster{Version: 5, NextRaftID: 9, Members: []identity.Member{{ServerID: 2, RaftID: 8, Learner: true}}},
		Replaces:  true, Lost: []uint64{11}, Versions: Versions{Least: 8, Greatest: 10, Known: 3, Cluster: 2},
	}))
	if want := strings.Join(strings.Fields(goldenHello), ""); got != want {
		t.Fatalf("hello is\n%s, want\n%s", got, want)
	}
}

func TestMessagesAreChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*pb.Message)
		ok     bool
	}{
		{"good", func(*pb.Message) {}, true},
		{"from another", func(m *pb.Message) { m.From = new(uint64(3)) }, false},
		{"to another", func(m *pb.Message) { m.To = new(uint64(3)) }, false},
		{"local type", func(m *pb.Message) { m.Type = pb.MsgStorageAppendResp.Enum() }, false},
		{"proposal", func(m *pb.Message) { m.Type = pb.MsgProp.Enum() }, false},
		{"transfer", func(m *pb.Message) { m.Type = pb.MsgTransferLeader.Enum() }, false},
		{"snapshot without its file", func(m *pb.Message) { m.Type = pb.MsgSnap.Enum() }, false},
	} {
		m := message(1, 2, 5)
		c.change(m)
		b, err := appendMessage(nil, m, 9)
		must(t, err)
		r := frame.NewReader(b[sealedHeaderBytes:])
		_, err = readKind(&r)
		must(t, err)
		payload, err := r.Bytes(frameBytesMax)
		must(t, err)
		if _, err := decodeMessage(payload, 1, 2); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if round, err := r.Uint64(); err != nil || round != 9 {
			t.Errorf("%s: round %d, %v", c.name, round, err)
		}
	}
}

func TestHelloRoundTrip(t *testing.T) {
	h := Hello{
		ClusterID: 1 << 60, ServerID: 3, RaftID: 4, DirectoryID: identity.DirectoryID{5}, Lineage: lineage(6), Stream: StreamForward,
		Constants: testConstants, Members: []identity.Member{{ServerID: 3, RaftID: 4, DirectoryID: identity.DirectoryID{5}, Host: "h", ClientPort: 11211, LogPort: 11311}},
		Roster:   &identity.Roster{Version: 1, NextRaftID: 5, Members: []identity.Member{{ServerID: 3, Stays: true}, {Retired: true}}},
		Versions: Versions{Least: 8, Greatest: 10, Known: 3, Cluster: 2},
	}
	b := encodeHello(&h)
	got, err := readHello(b)
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Fatalf("got %+v, %v", got, err)
	}
	for cut := range b {
		if cut == len(b)-len(h.Versions.append(nil)) { // as a program of version 8 alone sends it
			continue
		}
		if _, err := readHello(b[:cut]); err == nil {
			t.Fatalf("hello cut to %d bytes was read", cut)
		}
	}
}

// TestDamageIsNoticed: no bit of a frame can change on its way without a sign.
func TestDamageIsNoticed(t *testing.T) {
	sent := appendPayload(nil, kindForward, []byte("some operations"))
	sent, err := appendMessage(sent, message(1, 2, 5), 9)
	must(t, err)
	first, err := readSealed(bytes.NewReader(sent), nil, frameBytesMax)
	must(t, err)
	for bit := range 8 * len(sent) {
		b := bytes.Clone(sent)
		b[bit/8] ^= 1 << (bit % 8)
		in := bytes.NewReader(b)
		got, err := readSealed(in, nil, frameBytesMax)
		if err == nil && bytes.Equal(got, first) {
			_, err = readSealed(in, nil, frameBytesMax)
		}
		if err == nil {
			t.Fatalf("bit %d changed without a sign", bit)
		}
	}
}

// FuzzFrame feeds bytes of a peer to everything that decodes them.
func FuzzFrame(f *testing.F) {
	f.Add(encodeHello(&Hello{Versions: ourVersions, Lineage: lineage(1), Members: []identity.Member{{Host: "h"}}}))
	f.Add(encodeHello(&Hello{Versions: ourVersions, Lineage: lineage(1, 2), Guard: GuardOptional, Roster: &identity.Roster{Version: 1}}))
	m, err := appendMessage(nil, message(1, 2, 5), 9)
	must(f, err)
	f.Add(m[sealedHeaderBytes:])
	f.Add(appendPayload(nil, kindForward, []byte("x"))[sealedHeaderBytes:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if contents, err := readSealed(bytes.NewReader(b), nil, frameBytesMax); err == nil {
			var again bytes.Buffer
			if err := writeSealed(&again, contents); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
				t.Fatalf("%x became %x, %v", b, again.Bytes(), err)
			}
		}
		if h, err := readHello(b); err == nil {
			if again, err := readHello(encodeHello(&h)); err != nil || !reflect.DeepEqual(again, h) {
				t.Fatalf("%+v became %+v, %v", h, again, err)
			}
		}
		r := frame.NewReader(b)
		if kind, err := readKind(&r); err == nil && kind == kindRaft {
			if payload, err := r.Bytes(frameBytesMax); err == nil {
				_, _ = decodeMessage(payload, 1, 2)
			}
		}
	})
}

// TestDamageIsToldOnce: on a network that damages frames, each connection ends so.
func TestDamageIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	tr := &Transport{log: slog.New(slog.NewTextHandler(&log, nil)), ctx: context.Background()}
	conn, other := net.Pipe()
	defer func() { _, _ = conn.Close(), other.Close() }()
	for i := range 3 {
		tr.logEnd(conn, fmt.Errorf("frame of %d bytes: %w", i, errDamaged))
		tr.logEnd(conn, io.ErrUnexpectedEOF)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines, want 1:\n%s", lines, log.String())
	}
}
