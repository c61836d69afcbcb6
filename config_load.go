package raftcached

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/internal/settings"
)

// configFileBytesMax bounds how much of a file is read before it is taken for
// something other than a configuration.
const configFileBytesMax = 1 << 20

// Cluster is what a server.json says: the servers, and the settings that hold
// for each of them.
type Cluster struct {
	File     string   // the name it was read from
	Servers  []Server // in the order of ids
	path     string   // parent of the servers' data folders
	settings Config   // the optional settings; zero where the file is silent
}

// ReadCluster reads a server.json. Field names are matched without regard to
// case. The error is a *ConfigError that names the file.
func ReadCluster(file string) (*Cluster, error) {
	text, err := readConfigFile(file)
	if err != nil {
		return nil, err
	}
	c := &Cluster{File: file}
	if err := c.decode(text); err != nil {
		return nil, settings.Errorf("config %q: %v", file, err)
	}
	if err := checkServers(c.Servers); err != nil {
		return nil, settings.Errorf("config %q: %v", file, err)
	}
	slices.SortFunc(c.Servers, func(a, b Server) int { return a.ID - b.ID })
	return c, nil
}

func readConfigFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, settings.Errorf("config %q does not exist: name a server.json with -config", file)
	} else if err != nil {
		return nil, settings.Errorf("config %q cannot be read: %v", file, err)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, configFileBytesMax+1))
	if err != nil {
		return nil, settings.Errorf("config %q cannot be read: %v", file, err)
	}
	if len(text) > configFileBytesMax {
		return nil, settings.Errorf("config %q is longer than %d bytes: name a server.json with -config", file, configFileBytesMax)
	}
	return text, nil
}

// Config returns the configuration of one server of the cluster, not yet
// completed with defaults.
func (c *Cluster) Config(id int) (Config, error) {
	for _, s := range c.Servers {
		if s.ID != id {
			continue
		}
		cfg := c.settings
		cfg.ServerID = id
		cfg.Servers = slices.Clone(c.Servers)
		cfg.DataDir = c.dataDir(s)
		if cfg.AuthFile != "" {
			cfg.AuthFile = c.beside(cfg.AuthFile)
		}
		cfg.ClientAddrs = []string{s.ClientAddr()}
		if s.LogPort != 0 {
			cfg.PeerAddr = s.PeerAddr()
		}
		return cfg, nil
	}
	return Config{}, settings.Errorf("config %q: %v", c.File, errNotListed(id, c.Servers))
}

// dataDir returns the data folder of a server: its own path, or a folder named
// by its id in the cluster's.
func (c *Cluster) dataDir(s Server) string {
	dir := s.Path
	if dir == "" {
		dir = filepath.Join(c.path, strconv.Itoa(s.ID))
	}
	return c.beside(dir)
}

// beside returns the path of a file that the config names. A relative one starts
// at the folder of the config, so that a server finds its log from wherever it is
// started.
func (c *Cluster) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), path)
}

// decode reads the whole text. Its errors do not name the file.
func (c *Cluster) decode(text []byte) error {
	s := &c.settings
	var memoryMiB, retainMiB int64
	var timeoutMs, tickMs, idleSeconds int64
	c.path = DefaultDataDir
	if err := checkSyntax(text); err != nil {
		return err
	}
	err := decodeObject(text, "the file", []field{
		{"path", stringField(&c.path)},
		{"servers", c.decodeServers},
		{"memoryLimitMiB", intField(&memoryMiB, 1, memoryLimitMaxBytes>>20)},
		{"itemSizeMax", intField(&s.ItemBytesMax, itemBytesMinOfMax, itemBytesMaxOfMax)},
		{"disableEvictions", boolField(&s.NoEvict)},
		{"disableFlushAll", boolField(&s.FlushDisabled)},
		{"authFile", stringField(&s.AuthFile)},
		{"reads", readsField(&s.Reads)},
		{"requestTimeoutMs", intField(&timeoutMs, requestTimeoutMin.Milliseconds(), requestTimeoutMax.Milliseconds())},
		{"tickMs", intField(&tickMs, tickMin.Milliseconds(), tickMax.Milliseconds())},
		{"electionTicks", intField(&s.ElectionTicks, electionTicksMin, electionTicksMax)},
		{"heartbeatTicks", intField(&s.HeartbeatTicks, 1, electionTicksMax)},
		{"maxConnections", intField(&s.MaxConns, 1, connsMax)},
		{"threads", intField(&s.Threads, 1, threadsMax)},
		{"idleTimeoutSeconds", intField(&idleSeconds, 0, int64(idleTimeoutMax/time.Second))},
		{"logRetainMiB", intField(&retainMiB, logRetainMinBytes>>20, logRetainMaxBytes>>20)},
	})
	s.MemoryLimitBytes = memoryMiB << 20
	s.LogRetainBytes = retainMiB << 20
	s.RequestTimeout = time.Duration(timeoutMs) * time.Millisecond
	s.Tick = time.Duration(tickMs) * time.Millisecond
	s.IdleTimeout = time.Duration(idleSeconds) * time.Second
	return err
}

func (c *Cluster) decodeServers(raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return errors.New(`write a list, like [{"id": 0, "host": "127.0.0.1", "clientPort": 11211, "logPort": 11311}]`)
	}
	for i, raw := range list {
		s := Server{ID: -1}
		where := "entry " + strconv.Itoa(i+1) + " of servers"
		err := decodeObject(raw, where, []field{
			{"id", intField(&s.ID, 0, serverIDMax)},
			{"host", stringField(&s.Host)},
			{"clientPort", intField(&s.ClientPort, 1, portMax)},
			{"logPort", intField(&s.LogPort, 1, portMax)},
			{"path", stringField(&s.Path)},
		})
		if err != nil {
			return err
		}
		for _, missing := range []struct {
			name string
			is   bool
		}{{"id", s.ID < 0}, {"host", s.Host == ""}, {"clientPort", s.ClientPort == 0}, {"logPort", s.LogPort == 0}} {
			if missing.is {
				return settings.Errorf("%s has no %q: add it", where, missing.name)
			}
		}
		c.Servers = append(c.Servers, s)
	}
	return nil
}

// field is one member of a JSON object: its name, and what takes its value. The
// error of set says what to write instead; a *ConfigError is a whole sentence.
type field struct {
	name string
	set  func(json.RawMessage) error
}

// checkSyntax reports where text stops being JSON.
func checkSyntax(text []byte) error {
	var whole json.RawMessage
	err := json.Unmarshal(text, &whole)
	if err == nil {
		return nil
	}
	offset := len(text)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		offset = min(offset, int(syntax.Offset))
	}
	line := 1 + bytes.Count(text[:offset], []byte("\n"))
	return settings.Errorf("line %d is not JSON (%v): check its commas, quotes and brackets", line, err)
}

// decodeObject walks a JSON object, whose syntax was checked, and gives each
// value to the field of that name. encoding/json's own decoding into a struct
// would take a field that is given twice, and not say which names it knows.
func decodeObject(text []byte, where string, fields []field) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return settings.Errorf("%s is not a JSON object: put it in { and }", where)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, tokenErr := dec.Token()
		var raw json.RawMessage
		if err := firstError(tokenErr, dec.Decode(&raw)); err != nil {
			return settings.Errorf("%s cannot be decoded: %v", where, err)
		}
		name, _ := token.(string) // the syntax was checked: names are strings
		i := slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, name) })
		if i < 0 {
			return settings.Errorf("unknown field %q in %s: use %s", name, where, fieldNames(fields))
		}
		if seen[fields[i].name] {
			return settings.Errorf("field %q is given twice in %s: keep one", fields[i].name, where)
		}
		seen[fields[i].name] = true
		if err := fields[i].set(raw); err != nil {
			if nested := (*ConfigError)(nil); errors.As(err, &nested) {
				return err
			}
			return settings.Errorf("field %q in %s is %s: %v", fields[i].name, where, excerpt(raw), err)
		}
	}
	return nil
}

func fieldNames(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// excerpt returns a JSON value on one line, cut short if it is long.
func excerpt(raw json.RawMessage) string {
	const bytesMax = 40
	text := strings.Join(strings.Fields(string(raw)), " ")
	if len(text) > bytesMax {
		return text[:bytesMax] + "..."
	}
	return text
}

func stringField(dst *string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := json.Unmarshal(raw, dst); err != nil || *dst == "" {
			return errors.New("write a text in quotes")
		}
		return nil
	}
}

func boolField(dst *bool) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := json.Unmarshal(raw, dst); err != nil {
			return errors.New("write true or false")
		}
		return nil
	}
}

func intField[T int | int64](dst *T, lowest, highest int64) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		n := int64(math.MinInt64)
		if err := json.Unmarshal(raw, &n); err != nil || n < lowest || n > highest {
			return fmt.Errorf("write a whole number from %d to %d", lowest, highest)
		}
		*dst = T(n)
		return nil
	}
}

func readsField(dst *Reads) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := json.Unmarshal(raw, dst); err != nil || *dst != ReadsLinearizable && *dst != ReadsLocal {
			return fmt.Errorf("write %q or %q", ReadsLinearizable, ReadsLocal)
		}
		return nil
	}
}
