package protocol_test

import (
	"math"
	"testing"

	"raftcached/internal/item"
	"raftcached/protocol"
)

// TestMetaAnswers has what the transcripts cannot show: the largest numbers, and
// what goes wrong in a cluster.
func TestMetaAnswers(t *testing.T) {
	largest := protocol.Result{
		Status: protocol.StatusHit, Flags: math.MaxUint32, CAS: math.MaxUint64, Value: []byte("a\r\nb"), SizeBytes: 4,
		TTLSeconds: math.MaxInt32, Marks: item.HitBefore | item.AlreadyWon | item.Stale, IdleSeconds: math.MaxUint32,
	}
	for _, c := range []struct {
		request string
		result  protocol.Result
		want    string
	}{
		{"mg k v s t c f l h", largest, "VA 4 s4 t2147483647 c18446744073709551615 f4294967295 l4294967295 h1 Z X\r\na\r\nb\r\n"},
		{"me k", largest, "ME k exp=2147483647 la=4294967295 cas=18446744073709551615 fetch=yes cls=0 size=68\r\n"},
		{"mg k v C18446744073709551615", largest, "HD Z X\r\n"},
		{"mg k q", protocol.Result{Status: protocol.StatusHit, Marks: item.Won | item.AlreadyWon}, "HD W\r\n"},
		{"mg k k", protocol.Result{Status: protocol.StatusNotFound}, "EN kk\r\n"},
		{"mg k T1 q", protocol.Result{Status: protocol.StatusMiss}, ""},
		{"me k", protocol.Result{Status: protocol.StatusMiss}, "EN\r\n"},
		{"md k q O1", protocol.Result{Status: protocol.StatusDeleted}, ""},
		{"md k q O1", protocol.Result{Status: protocol.StatusNotFound}, "NF O1\r\n"},
		{"ma k v", protocol.Result{Status: protocol.StatusNumber, Number: math.MaxUint64}, "VA 20\r\n18446744073709551615\r\n"},
		{"ma k q", protocol.Result{Status: protocol.StatusOutOfMemory}, "SERVER_ERROR out of memory\r\n"},
		{"ms k 0 q\r\n", protocol.Result{Status: protocol.StatusOutOfMemory}, "SERVER_ERROR out of memory storing object\r\n"},
		{"ms k 0 q\r\n", protocol.Result{Status: protocol.StatusNoLeader}, "SERVER_ERROR no leader\r\n"},
		{"md k q O1", protocol.Result{Status: protocol.StatusOutcomeUnknown}, "SERVER_ERROR outcome unknown\r\n"},
		{"mg k q O1", protocol.Result{Status: protocol.StatusTimeout}, "SERVER_ERROR read not confirmed in time\r\n"},
	} {
		var req protocol.Request
		protocol.NewParser(itemBytesMax, nil).Parse([]byte(c.request+"\r\n"), &req)
		if got := string(protocol.AppendAnswer([]byte("before "), req.Command, &req.Form, &c.result)); got != "before "+c.want {
			t.Errorf("%s with status %d is answered %q, want %q", c.request, c.result.Status, got, "before "+c.want)
		}
	}
}

func TestMetaAnswersAllocateNothing(t *testing.T) {
	dst := make([]byte, 0, 1024)
	result := protocol.Result{Status: protocol.StatusHit, Number: 1 << 60, Value: []byte("value"), CAS: 1 << 40, TTLSeconds: 60}
	for _, request := range []string{
		"mg k v s t c f l h k Oopaque\r\n", "mg IA0KAA== b v k\r\n", "me k\r\n", "md k q\r\n", "ma k v c t k\r\n", "ms k 0 c s k\r\n\r\n",
	} {
		p := protocol.NewParser(itemBytesMax, nil)
		input := []byte(request)
		var req protocol.Request
		allocs := testing.AllocsPerRun(100, func() {
			p.Parse(input, &req)
			p.Consumed(&req)
			dst = protocol.AppendAnswer(dst[:0], req.Command, &req.Form, &result)
		})
		if allocs != 0 {
			t.Errorf("%q: %v allocations", request, allocs)
		}
	}
}
