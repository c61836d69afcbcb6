// Package memory provides memory outside the Go heap, which the garbage collector neither
// scans nor counts. With the race detector, which watches only the Go heap, it comes from
// there.
package memory
