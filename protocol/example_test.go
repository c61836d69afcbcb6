package protocol_test

import (
	"fmt"

	"raftcached/protocol"
)

// A server reads what a client sent, acts on each complete request, and keeps
// the rest until more comes.
func Example() {
	parser := protocol.NewParser(1<<20, nil)
	input := []byte("set greeting 0 0 5\r\nhello\r\nget greeting\r\nget gre")
	var stored []byte
	var request protocol.Request
	for {
		n, verdict := parser.Parse(input, &request)
		if verdict != protocol.Ready {
			break
		}
		var reply []byte
		switch request.Command {
		case protocol.Set:
			stored = append(stored[:0], request.Value...) // Value is part of the input
			reply = protocol.AppendReply(nil, request.Command, &protocol.Result{Status: protocol.StatusStored})
		case protocol.Get:
			reply = protocol.AppendValue(nil, request.Key, request.Flags, 0, false, stored)
			reply = append(reply, protocol.ReplyEnd...)
		}
		fmt.Printf("%s: %q\n", request.Command, reply)
		parser.Consumed(&request)
		input = input[n:]
	}
	fmt.Printf("kept: %q\n", input)
	// Output:
	// set: "STORED\r\n"
	// get: "VALUE greeting 0 5\r\nhello\r\nEND\r\n"
	// kept: "get gre"
}
