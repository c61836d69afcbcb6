// Package handshake bounds the processor time that handshakes of TLS take which others have
// begun: those of all ports of a node together compute on half of the processors, at most.
//
// It also counts how handshakes end: how many succeed, and how many fail for which of a few
// reasons.
//
// Read first: Processors, then Port and Conn; Counter and ReasonOf.
//
// A handshake computes while it holds a turn, and gives it back while it waits for the other
// side. The ports of a node share the turns fairly: each port has as many handshakes in the
// line for them as there are turns, however many wait at the port. So one port that is flooded
// takes no more than its part from the others.
//
// On a machine with one processor there is one turn: a handshake takes what Go's scheduler
// gives to one goroutine among all that are ready.
//
// Processors, Ports and Counters may be used by any goroutine. A Conn belongs to the goroutine
// that shakes hands on it; any other one may close it.
package handshake
