package replication

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"

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
	bugs  bugs
	order *simOrder // if not nil, it applies the operations, and looks after each
}

// simExtra is the state that is not the engine's.
type simExtra struct {
	entries, formations, hints uint64
	hintsSum                   uint64 // running hash
}

func newSimMachine() *simMachine {
	e, err := engine.New(engine.Limits{MemoryBytes: 8 << 20, ItemBytesMax: 1 << 20})
	if err != nil {
		panic(err)
	}
	e.Propose(5)
	m := &simMachine{Engine: e}
	// The engine's memory is not the Go heap's.
	runtime.AddCleanup(m, func(e *engine.Engine) { e.Close() }, e)
	return m
}

func (m *simMachine) Advance(stampMs int64) {
	m.entries++
	m.Engine.Advance(stampMs)
	if m.order != nil {
		m.order.note()
	}
}

func (m *simMachine) Hint(hashes []byte) {
	if len(hashes) == 0 || len(hashes)%hintBytes != 0 || len(hashes) > hintsBytesMax {
		panic(fmt.Sprintf("%d bytes of hints", len(hashes)))
	}
	m.hints += uint64(len(hashes) / hintBytes)
	b := binary.LittleEndian.AppendUint64(nil, m.hintsSum)
	m.hintsSum = xxhash.Sum64(append(b, hashes...))
	m.Engine.Hint(hashes)
}

func (m *simMachine) Apply(count int, ops []byte, reads any, want bool) any {
	if bytes.Equal(ops, simFormation) {
		if m.formations == 0 && m.entries != 1 || count != 1 || want {
			panic(fmt.Sprintf("formed in entry %d, by %d operations, wanted: %v", m.entries, count, want))
		}
		m.formations++
		return nil
	}
	if m.formations == 0 {
		panic("the log does not begin with the formation")
	}
	if m.order != nil {
		m.order.apply(m.Engine, count, ops)
		return nil
	}
	if reads != nil {
		return m.ApplyReading(count, ops, reads.(*engine.Reads))
	}
	if results := m.Engine.Apply(count, ops, want); results != nil {
		return results
	}
	return nil
}

func (m *simMachine) Keys(count int, ops []byte, changed func(hash uint64)) bool {
	noOthers := m.Engine.Keys(count, ops, changed)
	if m.bugs.has(bugFlushUnmarked) {
		if op, _, err := engine.DecodeOp(ops); err == nil && op.Kind == engine.OpFlushAll {
			return true
		}
	}
	return noOthers
}

func (m *simMachine) Formation() []byte {
	if m.formations > 0 {
		return nil
	}
	return simFormation
}

func (m *simMachine) Digest() (contents, order uint64) {
	contents, order = m.Engine.Digest()
	return xxhash.Sum64(binary.LittleEndian.AppendUint64(m.appendExtra(nil), contents)), order
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

// simView is a simMachine at one index. It comes in small parts, and is behind
// soon.
type simView struct {
	image *engine.Image
	m     *simMachine
	rest  []byte // of what the image has given out
	more  bool   // the image has
	at    uint64 // entries as of the last part
}

// simBehindEntries are as many as may be applied between two parts of a view.
const simBehindEntries = 2

func (m *simMachine) View() View {
	return &simView{image: m.Image(), m: m, rest: m.appendExtra(nil), more: true, at: m.entries}
}

func (v *simView) Behind() bool { return v.m.entries > v.at+simBehindEntries }

func (v *simView) Next(dst []byte) (out []byte, more bool, err error) {
	v.at = v.m.entries
	if len(v.rest) == 0 && v.more {
		if v.rest, v.more, err = v.image.Next(nil); err != nil {
			return dst, false, err
		}
	}
	n := min(len(v.rest), simPartBytes)
	dst = append(dst, v.rest[:n]...)
	v.rest = v.rest[n:]
	return dst, v.more || len(v.rest) > 0, nil
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
