// Package offline works on a data folder whose server does not run: it makes the folder
// the first of a new cluster after a majority was lost, and shows what is in it.
//
// Read first: Open and Findings, which say what a folder has; Folder.Recover; Dump.
//
// Open and Dump lock the folder, and change nothing in it. Nothing here may be called by
// two goroutines at a time.
//
// # Recover
//
// The old folder is what it was until its identity file is replaced, which is atomic.
// What the new cluster needs is written beside the old files before that, under names
// that a server takes for unfinished files and removes at its start:
//
//	snap/INDEX-TERM.snap.tmp   the state, of a term that the old log does not have
//	wal/SEQUENCE.wal.tmp       a log that begins after it; the sequence goes on
//	identity                   names both, and says that the recovery is unfinished
//
// Then these get their names, the old files are removed, and identity says that it is
// finished. A recovery that was interrupted before the identity was replaced begins
// again; one that was interrupted later goes on, and until then no server starts.
package offline
