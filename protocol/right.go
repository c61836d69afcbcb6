package protocol

import (
	"bytes"

	"raftcached/internal/item"
)

// Right is what a user of the cache needs for a request, if users have limits.
type Right uint8

// The rights. The zero value is the one that no user with a limit has, so that a
// command that is missing in the table is refused.
const (
	RightServer Right = iota // to change the whole server or all items, or to end it
	RightNone                // to be a user
	RightRead                // to read the items of its keys
	RightWrite               // to change the items of its keys
	RightList                // to see the keys of all items, or the other clients
)

// commandRights is the right that each command needs. Stats and MetaGet may need
// another one: see Request.Right.
var commandRights = [...]Right{
	Invalid: RightNone, // an error line
	Version: RightNone, Noop: RightNone, Quit: RightNone,
	SASLList: RightNone, SASLAuth: RightNone,
	ConfigGet: RightNone,

	Get: RightRead, Gets: RightRead, MetaGet: RightRead, MetaDebug: RightRead,

	Set: RightWrite, Add: RightWrite, Replace: RightWrite, Append: RightWrite, Prepend: RightWrite, CAS: RightWrite,
	Gat: RightWrite, Gats: RightWrite, MetaGat: RightWrite, Touch: RightWrite,
	Delete: RightWrite, Incr: RightWrite, Decr: RightWrite,

	MetaDump: RightList, MGDump: RightList, CacheDump: RightList,

	FlushAll: RightServer, CacheMemlimit: RightServer, Verbosity: RightServer,
	Stats: RightServer, Crawler: RightServer, Shutdown: RightServer, RefreshCerts: RightServer,
}

// statsRights is the right that "stats ARG" needs, by the first word of ARG. One that
// is not listed needs RightServer, as reset and "detail on" do.
var statsRights = map[string]Right{
	"": RightNone, "settings": RightNone, "items": RightNone, "slabs": RightNone, "sizes": RightNone,
	"raft": RightNone, "cluster": RightNone, "tls": RightNone, "latency": RightNone,
	"conns": RightList, "hotkeys": RightList, "slow": RightList, // keys of all users
}

// detailDump is the ARG of stats that shows prefixes of keys.
const detailDump = "detail dump"

// Right returns the right that the request needs.
func (req *Request) Right() Right {
	switch req.Command {
	case MetaGet:
		if req.Fields&(item.HasVivify|item.HasRecache) != 0 {
			return RightWrite
		}
	case Stats:
		if string(req.Arg) == detailDump {
			return RightList
		}
		word, _, _ := bytes.Cut(req.Arg, []byte{' '})
		return statsRights[string(word)]
	}
	return commandRights[req.Command]
}
