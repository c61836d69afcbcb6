// Package measure is what a server notes of its requests while it serves them: how long
// they took, which were slow and why, which keys are asked for most, and how large
// values are.
//
// Read first: Histogram, Ring and HotKeys, SlowLog with Causes.
//
// What runs with each request neither allocates nor takes a lock. One goroutine at a time
// may add to a Histogram or a Ring; any goroutine may read them. All else is for any
// goroutine.
package measure
