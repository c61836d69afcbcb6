package replication

import (
	"encoding/binary"
	"fmt"
	"io"

	"raftcached/engine"

	"github.com/cespare/xxhash/v2"
)

// simMachine is the engine as StateMachine. Besides, it remembers every hint, so
// that equal digests mean equal hints before equal indexes.
type simMachine struct {
	*engine.Engine
	simExtra
}

// simExtra is the state that is not the engine's.
type simExtra struct {
	hints    uint64
	hintsSum uint64 // running hash
}

func newSimMachine() *simMachine {
	return &simMachine{Engine: engine.New(engine.Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20})}
}

func (m *simMachine) Hint(hashes []byte) {
	if len(hashes) == 0 || len(hashes)%hintBytes != 0 || len(hashes) > hintsBytesMax {
		panic(fmt.Sprintf("%d bytes of hints", len(hashes)))
	}
	m.hints += uint64(len(hashes) / hintBytes)
	b := binary.LittleEndian.AppendUint64(nil, m.hintsSum)
	m.hintsSum = xxhash.Sum64(append(b, hashes...))
}

func (m *simMachine) Digest() uint64 {
	return xxhash.Sum64(binary.LittleEndian.AppendUint64(m.appendExtra(nil), m.Engine.Digest()))
}

func (e *simExtra) fields() []*uint64 {
	return []*uint64{&e.hints, &e.hintsSum}
}

func (e *simExtra) appendExtra(dst []byte) []byte {
	for _, v := range e.fields() {
		dst = binary.LittleEndian.AppendUint64(dst, *v)
	}
	return dst
}

// simView is a simMachine at one index.
type simView struct {
	extra  []byte
	engine *engine.Image
}

func (m *simMachine) View() View { return simView{m.appendExtra(nil), m.Image()} }

func (v simView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v.extra)
	if err != nil {
		return int64(n), err
	}
	k, err := v.engine.WriteTo(w)
	return int64(n) + k, err
}

func (m *simMachine) Restore(r io.Reader) error {
	var extra simExtra
	for _, v := range extra.fields() {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	if err := m.Engine.Restore(r); err != nil {
		return err
	}
	m.simExtra = extra
	return nil
}
