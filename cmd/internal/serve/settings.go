package serve

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached"
)

// setting is one thing that a flag or an environment variable can set. The
// variable is named after the long name: max-item-size is
// RAFTCACHED_MAX_ITEM_SIZE.
type setting struct {
	name     string // long name, as memcached has it where memcached has it
	letter   string // memcached's letter, or empty
	argument string // what the usage calls its value; empty: a switch
	usage    string
	apply    func(t *target, text string) error // nil: read by Main itself
}

// target is the configuration that settings are applied to, and what several of
// them decide together.
type target struct {
	cfg   *raftcached.Config
	hosts []string // from -l
	port  int      // from -p; 0: not given
}

// settings is the table of all settings, in the order of the usage. An error of
// apply says what to write instead.
var settings = []setting{
	{"config", "", "FILE", "the cluster's server.json; without it, one node alone", nil},
	{"id", "", "N", "which of the config's servers this is", nil},
	{"data", "", "DIR", "folder of the log (default: data, or the config's path and the id)", applyData},
	{"port", "p", "PORT", "client port (default: 11211, or the config's clientPort)", applyPort},
	{"listen", "l", "ADDRS", "client addresses, with or without a port, separated by commas", applyListen},
	{"peer-listen", "", "ADDR", "host:port for the other servers (default: the config's host and logPort)", applyPeerListen},
	{"memory-limit", "m", "MIB", "memory for items in MiB (default: 64)", applyMemoryLimit},
	{"disable-evictions", "M", "", "answer an error when memory is full, rather than evict", applyNoEvict},
	{"max-item-size", "I", "SIZE", "largest item, like 512k or 2m (default: 1m)", applyItemSize},
	{"conn-limit", "c", "N", "client connections at one time (default: 1024)", applyConns},
	{"threads", "t", "N", "event loops (default: 4, or the number of cores if less)", applyThreads},
	{"reads", "", "MODE", "linearizable (default), or local: possibly stale", applyReads},
	{"request-timeout", "", "TIME", "how long a request may wait for the cluster, like 500ms (default: 2s)", applyTimeout},
	{"disable-flush-all", "F", "", "refuse flush_all", applyNoFlush},
	{"auth-file", "Y", "FILE", "users and passwords, a line USER:PASSWORD each; read again at SIGHUP", applyAuthFile},
	{"extended", "o", "OPTIONS", "idle_timeout=SECONDS closes idle connections", applyExtended},
	{"protocol", "B", "NAME", "ignored: the first byte of a connection tells its protocol", applyProtocol},
	{"udp-port", "U", "PORT", "0: there is no UDP", applyUDP},
	{"user", "u", "NAME", "ignored, with a note", applyNothing},
	{"verbose", "v", "", "say more on stderr; also -vv, -vvv", applyVerbose},
}

func applyNothing(*target, string) error { return nil }

func applyData(t *target, text string) error {
	if text == "" {
		return fmt.Errorf("name a folder")
	}
	t.cfg.DataDir = text
	return nil
}

func applyPort(t *target, text string) (err error) {
	t.port, err = number(text, 1, 65535)
	return err
}

// applyListen takes memcached's list: a host or host:port each, an IPv6 address
// with a port in brackets.
func applyListen(t *target, text string) error {
	t.hosts = strings.Split(text, ",")
	if slices.Contains(t.hosts, "") {
		return fmt.Errorf("write addresses like 127.0.0.1 or 127.0.0.1:11211, separated by commas")
	}
	return nil
}

// applyPeerListen sets where this server listens to the others, who still dial
// what the config says: for hosts that have another address inside than outside.
func applyPeerListen(t *target, text string) error {
	if t.cfg.PeerAddr == "" {
		return fmt.Errorf("a server alone has no peers: leave it out, or add -config")
	}
	t.cfg.PeerAddr = text
	return nil
}

func applyMemoryLimit(t *target, text string) error {
	mib, err := number(text, 1, 1<<20)
	t.cfg.MemoryLimitBytes = int64(mib) << 20
	return err
}

func applyItemSize(t *target, text string) (err error) {
	t.cfg.ItemBytesMax, err = parseSize(text)
	return err
}

func applyConns(t *target, text string) (err error) {
	t.cfg.MaxConns, err = number(text, 1, 1<<20)
	return err
}

func applyThreads(t *target, text string) (err error) {
	t.cfg.Threads, err = number(text, 1, 256)
	return err
}

func applyReads(t *target, text string) error {
	t.cfg.Reads = raftcached.Reads(text)
	if t.cfg.Reads != raftcached.ReadsLinearizable && t.cfg.Reads != raftcached.ReadsLocal {
		return fmt.Errorf("write %s or %s", raftcached.ReadsLinearizable, raftcached.ReadsLocal)
	}
	return nil
}

func applyTimeout(t *target, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("write a time with its unit, like 500ms or 2s")
	}
	t.cfg.RequestTimeout = d
	return nil
}

func applyNoEvict(t *target, text string) error { return parseSwitch(&t.cfg.NoEvict, text) }

func applyNoFlush(t *target, text string) error { return parseSwitch(&t.cfg.FlushDisabled, text) }

func applyVerbose(t *target, text string) (err error) {
	t.cfg.Verbose, err = number(text, 0, 3)
	return err
}

func applyAuthFile(t *target, text string) error {
	if text == "" {
		return fmt.Errorf("name a file")
	}
	t.cfg.AuthFile = text
	return nil
}

// applyExtended takes those of memcached's -o options that mean something here.
func applyExtended(t *target, text string) error {
	for option := range strings.SplitSeq(text, ",") {
		seconds, isIdle := strings.CutPrefix(option, "idle_timeout=")
		n, err := number(seconds, 0, 365*24*3600)
		if !isIdle || err != nil {
			return fmt.Errorf("the one option is idle_timeout=SECONDS")
		}
		t.cfg.IdleTimeout = time.Duration(n) * time.Second
	}
	return nil
}

func applyProtocol(_ *target, text string) error {
	if text != "auto" && text != "ascii" && text != "binary" {
		return fmt.Errorf("write auto: each connection speaks text or binary as it likes")
	}
	return nil
}

func applyUDP(_ *target, text string) error {
	if text != "0" {
		return fmt.Errorf("write 0: there is no UDP")
	}
	return nil
}

func number(text string, lowest, highest int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		return 0, fmt.Errorf("write a whole number from %d to %d", lowest, highest)
	}
	return n, nil
}

func parseSwitch(dst *bool, text string) error {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("write 1 or 0")
	}
	*dst = b
	return nil
}

// parseSize reads a size as memcached's -I does: bytes, or k or m behind it.
func parseSize(text string) (int, error) {
	const highest = 8 << 20
	digits, shift := text, 0
	switch {
	case strings.HasSuffix(text, "k"), strings.HasSuffix(text, "K"):
		digits, shift = text[:len(text)-1], 10
	case strings.HasSuffix(text, "m"), strings.HasSuffix(text, "M"):
		digits, shift = text[:len(text)-1], 20
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > highest>>shift || n<<shift < 1<<10 {
		return 0, fmt.Errorf("write a size from 1k to 8m, an item goes whole from server to server")
	}
	return n << shift, nil
}

// setClientAddrs joins -l and -p with what the config says of this server: each
// of them alone keeps the other from there.
func (t *target) setClientAddrs() {
	if len(t.hosts) == 0 && t.port == 0 {
		return
	}
	host, port := "", strconv.Itoa(raftcached.DefaultClientPort)
	if len(t.cfg.ClientAddrs) > 0 {
		if h, p, err := net.SplitHostPort(t.cfg.ClientAddrs[0]); err == nil {
			host, port = h, p
		}
	}
	if t.port != 0 {
		port = strconv.Itoa(t.port)
	}
	if len(t.hosts) == 0 {
		t.hosts = []string{host}
	}
	t.cfg.ClientAddrs = nil
	for _, h := range t.hosts {
		t.cfg.ClientAddrs = append(t.cfg.ClientAddrs, withPort(h, port))
	}
}

// withPort adds a port to an address that has none. More than one colon without
// brackets is an IPv6 address, as for memcached.
func withPort(host, port string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case strings.HasPrefix(host, "[") && !strings.HasSuffix(host, "]"),
		strings.Count(host, ":") == 1:
		return host
	case host == "*":
		return net.JoinHostPort("", port)
	}
	return net.JoinHostPort(bare, port)
}
