// Package overview says what the answers of a cluster's servers mean together: who leads,
// who is behind, who is lost, and what helps. raftcachectl shows it, and the page of the
// admin port.
//
// Read first: Gather, which asks the servers; New, which makes a View of their answers.
//
// A View belongs to its caller.
package overview
