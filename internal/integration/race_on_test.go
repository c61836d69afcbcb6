//go:build race

package integration

// buildFlags are given to go build for the servers.
var buildFlags = []string{"-race"}

// harmStep has only some of the ways to harm a folder tried: a server takes a
// second to start under the race detector.
const harmStep = 6
