package node

import (
	"testing"

	"raftcached/engine"
	"raftcached/protocol"
)

// TestFieldsAndMarksAreShared: protocol and engine know nothing of each other, yet
// what both have is passed on bit by bit.
func TestFieldsAndMarksAreShared(t *testing.T) {
	for asked, meant := range map[protocol.Fields]engine.Fields{
		protocol.HasCAS: engine.HasCAS, protocol.HasNewCAS: engine.HasNewCAS,
		protocol.HasExptime: engine.HasExptime, protocol.HasInitial: engine.HasInitial,
		protocol.HasVivify: engine.HasVivify, protocol.HasRecache: engine.HasRecache,
		protocol.Invalidate: engine.Invalidate, protocol.RemoveValue: engine.RemoveValue,
		protocol.KeepAccess: engine.KeepAccess, protocol.TTLBefore: engine.TTLBefore,
		protocol.TouchBeforeRecache: engine.TouchBeforeRecache, protocol.TouchBeforeVivify: engine.TouchBeforeVivify,
	} {
		req := protocol.Request{Command: protocol.MetaGat, Key: []byte("k"), Fields: asked, Form: protocol.Form{Codec: protocol.Meta}}
		if op := operation(&req); op.Fields != meant|engine.Detailed {
			t.Errorf("protocol field %b is engine field %b, want %b and detailed", asked, op.Fields, meant)
		}
	}
	for told, meant := range map[engine.Marks]protocol.Marks{
		engine.Won: protocol.Won, engine.Stale: protocol.Stale,
		engine.AlreadyWon: protocol.AlreadyWon, engine.HitBefore: protocol.HitBefore,
	} {
		if r := resultOf(&engine.Result{Status: engine.StatusHit, Marks: told}); r.Marks != meant {
			t.Errorf("engine mark %b is protocol mark %b, want %b", told, r.Marks, meant)
		}
	}
}
