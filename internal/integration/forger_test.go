package integration

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"raftcached/internal/cluster"
	"raftcached/replication/disk"
	"raftcached/replication/frame"
	"raftcached/replication/identity"
	"raftcached/replication/peer"
)

// forger is a member of the cluster that sends what no sound server sends, and heeds
// nothing.
type forger struct {
	*peer.Transport
	identity  *identity.Identity
	raftID    uint64
	connected chan uint64 // forward streams to peers
}

// newForger takes the place of a server that does not run, with its data folder.
func newForger(t *testing.T, s *cluster.Server) *forger {
	t.Helper()
	id, err := identity.Open(disk.OS(), s.DataDir, s.ID, rand.Reader)
	must(t, err)
	c := id.Cluster()
	f := &forger{identity: id, connected: make(chan uint64, 16)}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // nobody knows it
	must(t, err)
	f.Transport, err = peer.Listen(peer.Config{
		ServerID: s.ID, DirectoryID: id.DirectoryID(), Lineage: id.Lineage(), Memory: id, Formed: true, Constants: c.Constants,
		Listener: listener, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	for _, m := range c.Members {
		if m.ServerID == s.ID {
			f.raftID = m.RaftID
		}
	}
	f.Join(*c, f.raftID, f)
	return f
}

func (f *forger) close(t *testing.T) {
	t.Helper()
	must(t, f.Close())
	must(t, f.identity.Close())
}

func (f *forger) HandleForwardRestored(peer uint64) {
	select {
	case f.connected <- peer:
	default:
	}
}
func (f *forger) HandleRaft(uint64, *pb.Message, uint64) {}
func (f *forger) HandleForward(uint64, uint64, []byte)   {}
func (f *forger) HandleSignal(uint64, []byte)            {}
func (f *forger) HandleExcluded(error)                   {}
func (f *forger) HandleUnreachable(uint64)               {}
func (f *forger) Admits(uint64, [16]byte) error          { return nil }
func (f *forger) Settled() bool                          { return true }
func (f *forger) HandleSnapshot(uint64, []byte, int64, io.Reader) error {
	return errors.New("not wanted")
}

// subBatch is the payload of one sub-batch of the forger's, see package replication.
func (f *forger) subBatch(loop, seq, count uint64, ops string) []byte {
	b := frame.AppendArrayLen(frame.AppendArrayLen(nil, 1), 7)
	for _, v := range []uint64{f.raftID, f.identity.Boot(), loop, seq, 1, count} {
		b = frame.AppendUint(b, v)
	}
	return frame.AppendBytes(b, []byte(ops))
}

// TestForgedPeerHarmsNobody: a server that speaks the protocol sends operations,
// messages and signals that make no sense to the others. They refuse them and say so,
// and go on; its later operations are refused in their turn, or applied.
func TestForgedPeerHarmsNobody(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	clients := clientsOf(t, c)
	must(t, clients[0].Set(&memcache.Item{Key: "k", Value: []byte("1")}))
	must(t, c.Servers[2].Kill())
	f := newForger(t, c.Servers[2])
	peers := map[uint64]bool{<-f.connected: true}
	for len(peers) < 2 {
		peers[<-f.connected] = true
	}
	set := "\x01\x00\x00\x00\x00\x06\x01forgedv" // kind, flags, exptime, cas, delta, lengths, key, value
	huge := (&pb.Message{Type: pb.MsgApp.Enum(), From: &f.raftID, Term: new(uint64(1)), Index: new(uint64(1 << 63)), LogTerm: new(uint64(1 << 62)), Commit: new(uint64(1 << 63))})
	attack := func(to uint64) {
		for _, payload := range [][]byte{
			{0xff, 0xff},
			{},
			{0xdd, 0xff, 0xff, 0xff, 0xff},
			f.subBatch(300, 1, 1, set), f.subBatch(0, 1, 1<<40, set),
			f.subBatch(0, 1, 1, "\xff\xff"), f.subBatch(0, 2, 2, set+"\x81"), f.subBatch(0, 3, 1, set), f.subBatch(1, 1, 1, set+"more"),
		} {
			f.Forward(to, payload)
		}
		for kind := range uint64(20) {
			f.Signal(to, append(frame.AppendUint(frame.AppendArrayLen(nil, 3), kind), 0xcf, 255, 255, 255, 255, 255, 255, 255, 255, 0xc1))
		}
		f.Signal(to, []byte{0xff})
		m := proto.CloneOf(huge) // the transport has it from then on
		m.To = new(to)
		f.Send(m, 1<<63)
	}
	for _, cl := range clients[:2] { // what was sound in between is applied on all
		must(t, cluster.Await(ctx, func() error {
			for to := range peers { // again and again, as a sound server would: who does not lead drops it
				attack(to)
			}
			it, err := cl.Get("forged")
			if err == nil && string(it.Value) != "v" {
				err = fmt.Errorf("read %q", it.Value)
			}
			return err
		}))
	}
	for i, cl := range clients[:2] {
		must(t, cl.Set(&memcache.Item{Key: fmt.Sprint("after", i), Value: []byte("1")}))
	}
	f.close(t)
	must(t, c.Servers[2].Start())
	must(t, c.AwaitReady(ctx))
	must(t, c.AwaitEqual(ctx))
	said := ""
	for _, s := range c.Servers[:2] {
		b, err := os.ReadFile(s.LogFile)
		must(t, err)
		said += string(b)
	}
	for _, want := range []string{"refused sub-batch 1 of loop 0", "refused sub-batch 2 of loop 0", "refused sub-batch 1 of loop 1", "read forwarded payload"} {
		if !strings.Contains(said, want) {
			t.Errorf("no server said %q", want)
		}
	}
}
