package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"raftcached/engine"

	"github.com/cespare/xxhash/v2"
)

// simFormation is what the log of a simulated cluster begins with.
var simFormation = []byte("formation")

// simMachine is the engine as StateMachine. Besides, it remembers every hint, so
// that equal digests mean equal hints before equal indexes, and insists that the
// log begins with its formation.
type simMachine struct {
	*engine.Engine
	simExtra
}

// simExtra is the state that is not the engine's.
type simExtra struct {
	entries, formations, hints uint64
	hintsSum                   uint64 // running hash
}

func newSimMachine() *simMachine {
	return &simMachine{Engine: engine.New(engine.Limits{MemoryBytes: 64 << 20, ItemBytesMax: 1 << 20})}
}

func (m *simMachine) Advance(stampMs int64) {
	m.entries++
	m.Engine.Advance(stampMs)
}

func (m *simMachine) Hint(hashes []byte) {
	if len(hashes) == 0 || len(hashes)%hintBytes != 0 || len(hashes) > hintsBytesMax {
		panic(fmt.Sprintf("%d bytes of hints", len(hashes)))
	}
	m.hints += uint64(len(hashes) / hintBytes)
	b := binary.LittleEndian.AppendUint64(nil, m.hintsSum)
	m.hintsSum = xxhash.Sum64(append(b, hashes...))
}

func (m *simMachine) Apply(count int, ops, results []byte, want bool) ([]byte, error) {
	if bytes.Equal(ops, simFormation) {
		if m.formations == 0 && m.entries != 1 || count != 1 || want {
			return nil, fmt.Errorf("formed in entry %d, by %d operations, wanted: %v", m.entries, count, want)
		}
		m.formations++
		return results, nil
	}
	if m.formations == 0 {
		return nil, errors.New("the log does not begin with the formation")
	}
	return m.Engine.Apply(count, ops, results, want)
}

func (m *simMachine) Formation() []byte {
	if m.formations > 0 {
		return nil
	}
	return simFormation
}

func (m *simMachine) Digest() uint64 {
	return xxhash.Sum64(binary.LittleEndian.AppendUint64(m.appendExtra(nil), m.Engine.Digest()))
}

func (e *simExtra) fields() []*uint64 {
	return []*uint64{&e.entries, &e.formations, &e.hints, &e.hintsSum}
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
