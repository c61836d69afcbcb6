package settings

import (
	"slices"
	"strings"
	"time"

	"raftcached/engine"
)

// Setting is something that a file, a variable or a flag can set.
type Setting struct {
	// Field is the field of the configuration, or else of the Line or the File that
	// is read.
	Field string

	Flags  []string // without dashes: a long name, which also names the variable, and letters
	JSON   string   // field of server.json
	Option string   // among those of -o

	Kind     Kind
	Unit     Unit     // of a Number
	Min, Max int64    // of a Number, in its Unit
	Choices  []string // of a Choice
	Required bool     // an entry of servers must have it
	Own      bool     // servers on one machine cannot have it in common

	// Ignored says why a flag of memcached is accepted and has no effect, Refused why
	// it is not accepted: without it the server would be less safe than its operator
	// believes. Neither has a Help.
	Ignored, Refused string

	Arg     string // what the usage calls the value of the flag
	Default string // as a flag takes it; empty: the zero value
	Shown   string // what the documents show instead of Default
	Help    string
}

// Unit is what a number counts: Size of it are one in the configuration.
type Unit struct {
	Name string
	Size int64
}

// The units.
var (
	noUnit          = Unit{Size: 1}
	byteUnit        = Unit{Name: "bytes", Size: 1}
	mebibyteUnit    = Unit{Name: "MiB", Size: 1 << 20}
	millisecondUnit = Unit{Name: "ms", Size: int64(time.Millisecond)}
	secondUnit      = Unit{Name: "seconds", Size: int64(time.Second)}
)

// Bounds that are needed elsewhere too.
const (
	ServersMax     = 9         // more voters only make each write slower
	ServerIDMax    = 1<<31 - 2 // a raft id is a server id plus one
	PortMax        = 65535
	PortDefault    = 11211
	DataDirDefault = "data"
)

// Table is all settings, in the order of the usage and the documents.
var Table = []Setting{
	{Field: "ConfigFile", Flags: []string{"config"}, Own: true, Kind: Text, Arg: "FILE", Help: "the cluster's server.json; without it, one node alone"},
	{Field: "ID", Flags: []string{"id"}, Own: true, Kind: Number, Unit: noUnit, Max: ServerIDMax, Arg: "N", Help: "which of the config's servers this is"},
	{Field: "Path", JSON: "path", Kind: Text, Default: DataDirDefault, Help: "parent of the data folders of all servers, relative to this file"},
	{Field: "Servers", JSON: "servers", Kind: servers, Shown: "required", Help: "the servers of the cluster, 1 to 9"},
	{Field: "DataDir", Flags: []string{"data"}, Own: true, Kind: Text, Arg: "DIR", Default: DataDirDefault, Shown: "`data`, or `path`/N", Help: "folder of the log and the snapshots"},
	{Field: "Port", Flags: []string{"port", "p"}, Own: true, Kind: Number, Unit: noUnit, Max: PortMax, Arg: "PORT", Shown: "11211, or `clientPort`", Help: "client port; 0: a free one, which the server logs"},
	{Field: "Listen", Flags: []string{"listen", "l"}, Own: true, Kind: List, Arg: "ADDRS", Shown: "all interfaces, or `host`", Help: "client addresses, with or without a port, separated by commas or in several flags"},
	{Field: "PeerAddr", Flags: []string{"peer-listen"}, Own: true, Kind: Text, Arg: "ADDR", Shown: "`host`:`logPort`", Help: "host:port at which the other servers reach this one"},
	{
		Field: "AdminAddr", Flags: []string{"admin-listen"}, Own: true, Kind: Text, Arg: "ADDR", Shown: "`adminHost`:`adminPort`, or off",
		Help: "host:port of the admin port, for raftcachectl and probes",
	},
	{
		Field: "HealthAddr", Flags: []string{"health-listen"}, Own: true, Kind: Text, Arg: "ADDR", Shown: "off",
		Help: "host:port of a port for probes alone: /livez and /readyz, in the clear also if the admin port is in TLS",
	},
	{
		Field: "MemoryLimitBytes", Flags: []string{"memory-limit", "m"}, JSON: "memoryLimitMiB", Arg: "MIB",
		Kind: Number, Unit: mebibyteUnit, Min: 1, Max: engine.MemoryBytesMax >> 20, Default: "64", Help: "memory for items, until cache_memlimit changes it",
	},
	{
		Field: "ItemBytesMax", Flags: []string{"max-item-size", "I"}, JSON: "itemSizeMax", Arg: "SIZE",
		// An item travels whole in a frame between nodes.
		Kind: Size, Unit: byteUnit, Min: 1 << 10, Max: 8 << 20, Default: "1m", Shown: "1m; half of the memory if that is less", Help: "largest item: bytes, in flags also like 512k or 2m",
	},
	{Field: "NoEvict", Flags: []string{"disable-evictions", "M"}, JSON: "disableEvictions", Help: "answer an error when memory is full, rather than evict"},
	{Field: "FlushDisabled", Flags: []string{"disable-flush-all", "F"}, JSON: "disableFlushAll", Help: "refuse flush_all"},
	{Field: "DumpingDisabled", Flags: []string{"disable-dumping", "X"}, JSON: "disableDumping", Help: "refuse the commands that list keys"},
	{Field: "AuthFile", Flags: []string{"auth-file", "Y"}, JSON: "authFile", Kind: Text, Arg: "FILE", Shown: "no authentication", Help: "users, a line USER:PASSWORD each, and what they may do; read again at SIGHUP"},
	{Field: "TLS", Flags: []string{"enable-ssl", "Z"}, JSON: "tls", Help: "serve clients with TLS alone, but at addresses like notls:127.0.0.1:11212 of -l"},
	{Field: "TLSCert", Flags: []string{"tls-cert"}, JSON: "tlsCert", Option: "ssl_chain_cert", Kind: Text, Arg: "FILE", Shown: "required with TLS", Help: "PEM file of the certificate for clients, and of those that lead to its authority; read again at SIGHUP and by refresh_certs, as the next two"},
	{Field: "TLSKey", Flags: []string{"tls-key"}, JSON: "tlsKey", Option: "ssl_key", Kind: Text, Arg: "FILE", Shown: "in `tlsCert`", Help: "PEM file of its private key"},
	{Field: "TLSCA", Flags: []string{"tls-ca"}, JSON: "tlsCA", Option: "ssl_ca_cert", Kind: Text, Arg: "FILE", Shown: "none", Help: "PEM file of the authorities whose certificates clients may show"},
	{Field: "TLSVerify", Flags: []string{"tls-verify"}, JSON: "tlsVerify", Option: "ssl_verify_mode", Kind: Number, Unit: noUnit, Max: 3, Arg: "MODE", Shown: "0", Help: "certificates of clients: 0 not asked for, 1 checked if there is one, 2 or 3 needed"},
	{Field: "TLSMinVersion", Flags: []string{"tls-min-version"}, JSON: "tlsMinVersion", Option: "ssl_min_version", Kind: Number, Unit: noUnit, Min: 2, Max: 3, Arg: "N", Default: "2", Help: "oldest version of TLS: 2 is 1.2, 3 is 1.3"},
	{Field: "Secret", JSON: "secret", Kind: Text, Shown: "none: anybody who reaches the log port", Help: "what servers must know to be let in at the log port, at least 16 bytes; the same for all"},
	{Field: "SecretFile", Flags: []string{"secret-file"}, JSON: "secretFile", Kind: Text, Arg: "FILE", Shown: "none, or the text in `secret`", Help: "file that holds the secret of the log port"},
	{Field: "SecretOptional", Flags: []string{"secret-optional"}, JSON: "secretOptional", Help: "let in servers without the secret too, while a running cluster gets one, server by server"},
	{Field: "PeerCertFile", Flags: []string{"peer-cert"}, JSON: "peerCertFile", Kind: Text, Arg: "FILE", Shown: "no TLS between servers", Help: "certificate that names this server, server-N.raftcached, as PEM; {id} in the name of the file is the server's; read again at SIGHUP"},
	{Field: "PeerKeyFile", Flags: []string{"peer-key"}, JSON: "peerKeyFile", Kind: Text, Arg: "FILE", Shown: "in `peerCertFile`", Help: "key of that certificate; {id} as there; read again at SIGHUP"},
	{Field: "PeerCAFile", Flags: []string{"peer-ca"}, JSON: "peerCAFile", Kind: Text, Arg: "FILE", Help: "authorities that sign the certificates of this cluster's servers and its operator, and of nobody else; read again at SIGHUP"},
	{Field: "PeerTLS", Flags: []string{"peer-tls"}, JSON: "peerTLS", Kind: Choice, Choices: []string{"required", "optional"}, Arg: "MODE", Default: "required", Help: "with peerCertFile: required, or optional: servers without TLS are let in too, while a running cluster gets it, server by server"},
	{Field: "Join", Flags: []string{"join"}, JSON: "join", Kind: List, Arg: "ADDRS", Help: "log ports of a cluster, host:port each, that a server with an empty data folder asks to come in; raftcachectl member add announces it"},
	{Field: "ReplaceEmpty", Flags: []string{"replace-empty"}, JSON: "replaceEmpty", Help: "let this server, with an empty data folder, take the place of the folder that it had in the cluster, if nobody hears that"},
	{
		Field: "Reads", Flags: []string{"reads"}, JSON: "reads", Kind: Choice, Choices: []string{"linearizable", "local"}, Arg: "MODE",
		Default: "linearizable", Help: "linearizable, or local: without the other servers, possibly stale",
	},
	{
		Field: "Leases", Flags: []string{"leases"}, JSON: "leases", Kind: Choice, Choices: []string{"off", "leader", "all"}, Arg: "MODE",
		Default: "off", Help: "which servers answer linearizable reads without asking the others: none, the leader, or all; set when the cluster is formed, and changed by raftcachectl leases",
	},
	{
		Field: "RequestTimeout", Flags: []string{"request-timeout"}, JSON: "requestTimeoutMs", Arg: "TIME",
		Kind: Duration, Unit: millisecondUnit, Min: 10, Max: 600_000, Default: "2s", Help: "how long a request may wait for the cluster",
	},
	{Field: "Tick", JSON: "tickMs", Kind: Duration, Unit: millisecondUnit, Min: 1, Max: 1000, Default: "10ms", Help: "one tick of raft's clock"},
	// Below 10, one late tick is an election.
	{Field: "ElectionTicks", JSON: "electionTicks", Kind: Number, Unit: noUnit, Min: 10, Max: 1000, Default: "20", Help: "an election starts after this many ticks without a leader, to twice as many"},
	{
		Field: "HeartbeatTicks", JSON: "heartbeatTicks", Kind: Number, Unit: noUnit, Min: 1, Max: 333, Default: "5",
		Shown: "5; a quarter of `electionTicks`, up to 5", Help: "a leader sends a heartbeat every as many ticks, at most a third of `electionTicks`",
	},
	{Field: "MaxConns", Flags: []string{"conn-limit", "c"}, JSON: "maxConnections", Kind: Number, Unit: noUnit, Min: 1, Max: 1 << 20, Arg: "N", Default: "1024", Help: "client connections at one time"},
	{Field: "Threads", Flags: []string{"threads", "t"}, JSON: "threads", Kind: Number, Unit: noUnit, Min: 1, Max: 256, Arg: "N", Default: "4", Shown: "4, or the cores if fewer", Help: "event loops"},
	{Field: "IdleTimeout", JSON: "idleTimeoutSeconds", Option: "idle_timeout", Kind: Number, Unit: secondUnit, Max: 365 * 24 * 3600, Shown: "0: never", Help: "a connection that is idle for as long is closed"},
	{
		Field: "UnlistAfter", JSON: "unlistAfterSeconds", Kind: Number, Unit: secondUnit, Max: 365 * 24 * 3600, Shown: "0: never",
		Help: "a server that this one cannot reach for as long is left out of `config get cluster`",
	},
	{Field: "LogRetainBytes", Flags: []string{"log-retain"}, JSON: "logRetainMiB", Arg: "MIB", Kind: Number, Unit: mebibyteUnit, Min: 1, Max: 1 << 20, Default: "1024", Help: "raft log retained for servers that fall behind, or the size of the items if that is more"},
	{Field: "DiskReserveBytes", Flags: []string{"disk-reserve"}, JSON: "diskReserveMiB", Arg: "MIB", Kind: Number, Unit: mebibyteUnit, Max: 1 << 20, Shown: "128, and twice the size of the items", Help: "free disk below which a server counts as full"},
	{
		Field: "ClusterVersionMax", Flags: []string{"cluster-version-max"}, JSON: "clusterVersionMax", Kind: Number, Unit: noUnit, Max: 1 << 20, Arg: "N",
		Shown: "0: no bound", Help: "the cluster version does not rise beyond this as long as any server has it, so that there is a way back from an upgrade",
	},
	{Field: "KeyDelimiter", Flags: []string{"key-delimiter", "D"}, JSON: "keyDelimiter", Kind: Text, Arg: "CHAR", Shown: "`:`, and nothing is counted until `stats detail on`", Help: "count commands by prefixes of keys, which end with this, for stats detail"},
	{
		Field: "SlowTime", Flags: []string{"slow-time"}, JSON: "slowMs", Arg: "TIME", Kind: Duration, Unit: millisecondUnit, Max: 600_000, Default: "100ms",
		Help: "commands that take as long are kept, with what they waited for, for raftcachectl slow; 0: none",
	},
	{Field: "HotKeysDisabled", Flags: []string{"disable-hot-keys"}, JSON: "disableHotKeys", Help: "do not look which keys are asked for most"},
	{Field: "ShutdownEnabled", Flags: []string{"enable-shutdown", "A"}, JSON: "enableShutdown", Help: "let clients stop the server with the command shutdown"},
	{Field: "PIDFile", Flags: []string{"pidfile", "P"}, Own: true, Kind: Text, Arg: "FILE", Help: "file for the process id, removed when the server stops"},
	{Field: "SASL", Flags: []string{"enable-sasl", "S"}, Help: "insist on authentication, for which --auth-file names the users"},
	{Field: "Extended", Flags: []string{"extended", "o"}, Kind: options, Arg: "OPTIONS", Help: "NAME=VALUE, separated by commas: idle_timeout=SECONDS, and ssl_chain_cert, ssl_key, ssl_ca_cert, ssl_verify_mode, ssl_min_version like --tls-cert and so on; memcached's others are ignored, with a note"},
	{Field: "Protocol", Flags: []string{"protocol", "B"}, Kind: Choice, Choices: []string{"auto", "ascii", "binary"}, Arg: "NAME", Help: "ignored: the first byte of a connection selects its protocol"},
	{Field: "UDPPort", Flags: []string{"udp-port", "U"}, Kind: Choice, Choices: []string{"0"}, Arg: "PORT", Help: "0: there is no UDP"},
	{Field: "User", Flags: []string{"user", "u"}, Kind: Text, Arg: "NAME", Ignored: "the server keeps the user that starts it"},
	{Field: "Daemon", Flags: []string{"daemon", "d"}, Ignored: "the server stays in the foreground, for a service manager or a shell's &"},
	{Field: "UnixSocket", Flags: []string{"unix-socket", "s"}, Own: true, Kind: Text, Arg: "FILE", Refused: "clients are served over TCP alone: use -l 127.0.0.1 for those of this machine"},
	{Field: "UnixMask", Flags: []string{"unix-mask", "a"}, Kind: Text, Arg: "MASK", Ignored: "there is no UNIX socket"},
	{Field: "Coredumps", Flags: []string{"enable-coredumps", "r"}, Ignored: "a crash writes its stack to the log"},
	{Field: "LockMemory", Flags: []string{"lock-memory", "k"}, Ignored: "memory is not locked: let the service manager forbid swapping"},
	{Field: "LargePages", Flags: []string{"enable-largepages", "L"}, Ignored: "the system decides about large pages"},
	{Field: "GrowthFactor", Flags: []string{"slab-growth-factor", "f"}, Kind: Text, Arg: "FACTOR", Ignored: "memory is not divided into slabs"},
	{Field: "SlabMinimum", Flags: []string{"slab-min-size", "n"}, Kind: Text, Arg: "BYTES", Ignored: "memory is not divided into slabs"},
	{Field: "MemoryFile", Flags: []string{"memory-file", "e"}, Own: true, Kind: Text, Arg: "FILE", Ignored: "the log and the snapshots keep the items"},
	{Field: "RequestsPerEvent", Flags: []string{"max-reqs-per-event", "R"}, Kind: Text, Arg: "N", Ignored: "connections take turns by the bytes that they send"},
	{Field: "CASDisabled", Flags: []string{"disable-cas", "C"}, Ignored: "every item has a CAS unique"},
	{Field: "Backlog", Flags: []string{"listen-backlog", "b"}, Kind: Text, Arg: "N", Ignored: "the backlog is the system's, net.core.somaxconn"},
	{Field: "WatchDisabled", Flags: []string{"disable-watch", "W"}, Ignored: "there is no watch command"},
	{Field: "NAPIs", Flags: []string{"napi-ids", "N"}, Kind: Text, Arg: "N", Ignored: "a connection goes to the event loop that has the fewest"},
	{Field: "Verbose", Flags: []string{"verbose", "v"}, Kind: Count, Unit: noUnit, Max: 3, Help: "log more; also -vv, -vvv"},
	{Field: "License", Flags: []string{"license", "i"}, Help: "print the license and exit"},
	{Field: "Check", Flags: []string{"check"}, Own: true, Help: "check ports, open files, disk, clock and certificates for a server with these flags, and exit"},
	{Field: "Version", Flags: []string{"version", "V"}, Help: "print the version and exit"},
	{Field: "Help", Flags: []string{"help", "h"}, Help: "print this and exit"},
}

// ServerTable is the fields of an entry of servers.
var ServerTable = []Setting{
	{Field: "ID", JSON: "id", Kind: Number, Unit: noUnit, Max: ServerIDMax, Required: true, Help: "number of the server, chosen with -id"},
	{Field: "Host", JSON: "host", Kind: Text, Required: true, Help: "name or address at which clients and the other servers reach it"},
	{Field: "ClientPort", JSON: "clientPort", Kind: Number, Unit: noUnit, Min: 1, Max: PortMax, Required: true, Help: "port for clients"},
	{Field: "LogPort", JSON: "logPort", Kind: Number, Unit: noUnit, Min: 1, Max: PortMax, Required: true, Help: "port for the other servers"},
	{Field: "AdminPort", JSON: "adminPort", Kind: Number, Unit: noUnit, Min: 1, Max: PortMax, Shown: "off", Help: "port for raftcachectl and probes"},
	{Field: "AdminHost", JSON: "adminHost", Kind: Text, Shown: "`host` if it is a loopback address, or 127.0.0.1", Help: "address at which `adminPort` is open, and at which the other machines find it"},
	{Field: "Path", JSON: "path", Kind: Text, Shown: "`path`/N", Help: "its data folder, relative to this file"},
}

// Variable returns the environment variable of a setting, or nothing.
func (s *Setting) Variable() string {
	if len(s.Flags) == 0 || s.isQuestion() {
		return ""
	}
	return "RAFTCACHED_" + strings.ToUpper(strings.ReplaceAll(s.Flags[0], "-", "_"))
}

// IsOneServers reports whether an environment variable sets what servers on one
// machine cannot have in common, so that it cannot be meant for all of them.
func IsOneServers(variable string) bool {
	return variable != "" && slices.ContainsFunc(Table, func(s Setting) bool { return s.Own && s.Variable() == variable })
}

// isQuestion reports whether a flag asks for something else than a server.
func (s *Setting) isQuestion() bool {
	return s.Field == "Help" || s.Field == "Version" || s.Field == "License"
}

// byField returns the row of a field, which must be in the table.
func byField(field string) *Setting {
	for i := range Table {
		if Table[i].Field == field {
			return &Table[i]
		}
	}
	panic("no setting is named " + field)
}
