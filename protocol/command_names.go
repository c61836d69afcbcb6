package protocol

// commandNames holds the names that clients use.
var commandNames = [...]string{
	Invalid: "invalid", Get: "get", Gets: "gets", Gat: "gat", Gats: "gats",
	Set: "set", Add: "add", Replace: "replace", Append: "append", Prepend: "prepend", CAS: "cas",
	Touch: "touch", Delete: "delete", Incr: "incr", Decr: "decr", FlushAll: "flush_all",
	CacheMemlimit: "cache_memlimit",
	MetaGat:       "mg", MetaGet: "mg", MetaDebug: "me", Noop: "mn", ConfigGet: "config", SASLList: "sasl list", SASLAuth: "sasl auth",
	MetaDump: "lru_crawler metadump", MGDump: "lru_crawler mgdump", CacheDump: "stats cachedump", Crawler: "lru_crawler",
	Version: "version", Verbosity: "verbosity", Stats: "stats", Shutdown: "shutdown", Quit: "quit",
	RefreshCerts: "refresh_certs",
}

// String returns the command's name in the protocol.
func (c Command) String() string { return commandNames[c] }
