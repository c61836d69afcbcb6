// Package settings knows what a node can be configured with.
//
// Read first: Error, the kind of error that a change of the configuration
// repairs.
package settings
