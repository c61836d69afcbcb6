//go:build !race

package integration

// buildFlags are given to go build for the servers.
var buildFlags []string

// harmStep has all of the ways to harm a folder tried.
const harmStep = 1
