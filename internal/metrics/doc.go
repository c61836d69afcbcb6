// Package metrics tells Prometheus what a server knows of itself: GET /metrics of the
// admin port, in base units.
//
// Figures that memcached has too are named and labelled as memcached_exporter does, with raftcached
// for memcached, so that panels can be taken over by one replacement. They count from the
// start: "stats reset" does not touch them, as a counter of Prometheus must not go back but
// for a restart.
//
// Read first: Sample, what a server tells at one moment; then tables.go, what becomes of it.
package metrics
