// Package settings is the one table of what a node can be configured with, and
// all that reads it: server.json, the environment, the flags, the usage, and the
// tables of docs/configuration.md.
//
// Read first: Setting and Table; then ReadFile and ReadLine, which fill in a
// configuration; Complete, which adds the defaults and checks the bounds.
//
// A configuration is any struct, given as a pointer; Setting.Field names its
// fields. Origins remembers which fields came from where, so that an error that
// is found later still names the setting as the user wrote it: -m,
// --memory-limit, RAFTCACHED_MEMORY_LIMIT, "memoryLimitMiB" in a file, or
// MemoryLimitBytes in a program.
//
// To add a setting, add a field to raftcached.Config and a row to Table.
package settings
