package protocol_test

import (
	"math"
	"testing"

	"raftcached/protocol"
)

func TestAppendReply(t *testing.T) {
	for _, c := range []struct {
		command protocol.Command
		result  protocol.Result
		want    string
	}{
		{protocol.Set, protocol.Result{}, ""},
		{protocol.Set, protocol.Result{Status: protocol.StatusStored}, "STORED\r\n"},
		{protocol.Add, protocol.Result{Status: protocol.StatusNotStored}, "NOT_STORED\r\n"},
		{protocol.CAS, protocol.Result{Status: protocol.StatusExists}, "EXISTS\r\n"},
		{protocol.CAS, protocol.Result{Status: protocol.StatusNotFound}, "NOT_FOUND\r\n"},
		{protocol.Delete, protocol.Result{Status: protocol.StatusDeleted}, "DELETED\r\n"},
		{protocol.Touch, protocol.Result{Status: protocol.StatusTouched}, "TOUCHED\r\n"},
		{protocol.FlushAll, protocol.Result{Status: protocol.StatusOK}, "OK\r\n"},
		{protocol.Incr, protocol.Result{Status: protocol.StatusNumber, Number: math.MaxUint64}, "18446744073709551615\r\n"},
		{protocol.Incr, protocol.Result{Status: protocol.StatusNonNumeric}, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
		{protocol.Incr, protocol.Result{Status: protocol.StatusOutOfMemory}, "SERVER_ERROR out of memory\r\n"},
		{protocol.Set, protocol.Result{Status: protocol.StatusOutOfMemory}, "SERVER_ERROR out of memory storing object\r\n"},
		{protocol.Set, protocol.Result{Status: protocol.StatusTooLarge}, "SERVER_ERROR object too large for cache\r\n"},
		{protocol.CacheMemlimit, protocol.Result{Status: protocol.StatusTooSmall}, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"},
		{protocol.Set, protocol.Result{Status: protocol.StatusNoLeader}, "SERVER_ERROR no leader\r\n"},
		{protocol.Set, protocol.Result{Status: protocol.StatusOutcomeUnknown}, "SERVER_ERROR outcome unknown\r\n"},
		{protocol.Get, protocol.Result{Status: protocol.StatusTimeout}, "SERVER_ERROR read not confirmed in time\r\n"},
		{
			protocol.Set,
			protocol.Result{Status: protocol.StatusRepairing},
			"SERVER_ERROR state differs from the other servers, repairing\r\n",
		},
		{
			protocol.Set,
			protocol.Result{Status: protocol.StatusNoMajority},
			"SERVER_ERROR states of the servers differ without a majority, writes are refused\r\n",
		},
		{protocol.Get, protocol.Result{Status: protocol.StatusRemoved}, "SERVER_ERROR this server is no member of the cluster any more\r\n"},
		{protocol.Set, protocol.Result{Status: protocol.StatusDiskStalled}, "SERVER_ERROR this server's disk does not answer, writes are refused\r\n"},
		{protocol.Set, protocol.Result{Status: protocol.StatusBusy}, "SERVER_ERROR too many writes wait, try again later\r\n"},
		{protocol.Delete, protocol.Result{Status: protocol.StatusOutOfMemory}, "SERVER_ERROR out of memory\r\n"},
		{protocol.Gat, protocol.Result{Status: protocol.StatusMiss, Key: []byte("k")}, ""},
		{
			protocol.Gat,
			protocol.Result{Status: protocol.StatusHit, Key: []byte("k"), Flags: 7, CAS: 9, Value: []byte("a\r\nb")},
			"VALUE k 7 4\r\na\r\nb\r\n",
		},
		{
			protocol.Gats,
			protocol.Result{Status: protocol.StatusHit, Key: []byte("k"), Flags: math.MaxUint32, CAS: math.MaxUint64},
			"VALUE k 4294967295 0 18446744073709551615\r\n\r\n",
		},
	} {
		got := string(protocol.AppendReply([]byte("before "), c.command, &c.result))
		if got != "before "+c.want {
			t.Errorf("%v, status %d: %q, want %q", c.command, c.result.Status, got, "before "+c.want)
		}
	}
}
