//go:build race

package integration

// buildFlags are given to go build for the servers.
var buildFlags = []string{"-race"}

const underRace = true

// membersRunsDefault is how many clusters TestMembersUnderLoad changes by itself.
const membersRunsDefault = 0
