// Package ctl is raftcachectl: the commands that show and operate a cluster.
//
// Read first: Main and newRoot; then gather, which asks the servers, and view,
// which says what their answers mean. Each command has a file of its own.
//
// A command asks any server that it is told of for the others, and then all of them
// at once. What it needs is in their answers: it reads no log and no data folder. What
// works on a data folder whose server is stopped asks nobody: see package offline.
package ctl
