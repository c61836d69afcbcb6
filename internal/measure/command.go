package measure

// Command is what requests are told apart by: few, so that each server has few series.
type Command uint8

// The commands.
const (
	Get    Command = iota // get, gets, mg, and the binary protocol's
	Gat                   // gat, gats, and mg with T
	Set                   // set, add, replace, append, prepend, ms
	CAS                   // cas
	Delete                // delete, md
	Incr                  // incr, decr, ma
	Touch                 // touch
	Other                 // other writes
	CommandCount
)

func (c Command) String() string {
	return [CommandCount]string{"get", "gat", "set", "cas", "delete", "incr", "touch", "other"}[c]
}

// Latencies are the latencies of the commands of one event loop.
type Latencies [CommandCount]Histogram
