package raftcached

// Version is raftcached's own version: -V, and STAT raftcached_version.
const Version = "0.1.0"

// MemcachedVersion is the memcached whose text protocol is spoken, and what the
// version command answers: clients compare it to learn what they may send.
const MemcachedVersion = "1.6.45"
