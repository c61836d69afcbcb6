// Package memory gives the engine memory outside the Go heap, which the garbage
// collector neither looks at nor counts. The race detector sees only the Go
// heap, so that it comes from there when that is on.
package memory
