package protocol_test

import (
	"strconv"

	"raftcached/internal/item"
	"raftcached/protocol"
)

// answerBinary carries out a packet and returns the packets that answer it.
func (m *model) answerBinary(r *protocol.Request) []byte {
	result := protocol.Result{Status: protocol.StatusOK}
	switch r.Command {
	case protocol.Invalid:
		return protocol.AppendInvalid(nil, r)
	case protocol.Version:
		return protocol.AppendText(nil, &r.Form, "1.6.45")
	case protocol.Stats:
		list, lines := stats(string(r.Arg))
		if lines == "ERROR\r\n" {
			result.Status = protocol.StatusNotFound
			break
		}
		return protocol.AppendStats(nil, &r.Form, list)
	case protocol.SASLList, protocol.SASLAuth:
		result.Status = protocol.StatusUnknownCommand
	case protocol.Noop, protocol.Verbosity, protocol.Quit:
		// There is nothing to do.
	case protocol.MetaGet, protocol.MetaGat:
		result = m.look(r)
	default:
		result = m.change(r)
	}
	return protocol.AppendAnswer(nil, r.Command, &r.Form, &result)
}

// look finds an item, and changes when it expires.
func (m *model) look(r *protocol.Request) protocol.Result {
	it, found := m.find(r.Key)
	if !found {
		return protocol.Result{Status: protocol.StatusMiss}
	}
	if r.Fields&item.HasExptime != 0 {
		it.expiry = m.expiry(r.Exptime)
		m.items[string(r.Key)] = it
	}
	return protocol.Result{Status: protocol.StatusHit, Flags: it.flags, CAS: it.cas, Value: it.value}
}

// change writes as the text protocol does, after a look at the cas unique, and
// tells what the item is then.
func (m *model) change(r *protocol.Request) protocol.Result {
	before, found := m.find(r.Key)
	switch {
	case r.Fields&item.HasCAS == 0:
	case found && before.cas != r.CAS:
		return protocol.Result{Status: protocol.StatusExists}
	case !found && r.Command == protocol.Set:
		return protocol.Result{Status: protocol.StatusNotFound}
	}
	var result protocol.Result
	if !found && r.Fields&item.HasVivify != 0 {
		m.put(r.Key, modelItem{value: strconv.AppendUint(nil, r.Initial, 10), expiry: m.expiry(r.Vivify)})
		result = protocol.Result{Status: protocol.StatusNumber, Number: r.Initial}
	} else {
		result = m.write(r)
	}
	after, _ := m.find(r.Key)
	result.CAS, result.Flags = after.cas, after.flags
	return result
}
