package raftcached

import (
	_ "embed" // the license
	"io"

	"raftcached/internal/settings"
)

// Arguments is what a command line asks for.
type Arguments struct {
	Config  Config   // complete, unless Help, Version or License is set
	PIDFile string   // where the process writes its id; empty: nowhere
	Notes   []string // about flags and variables that were accepted and have no effect

	Check bool // only what the server would need is to be checked

	Help, Version, License bool // the usage and so on was asked for, and no server
}

// ParseArguments reads the command line of a server, without the program's name,
// and its environment, words like NAME=VALUE, as cmd/raftcached does. A flag
// overrides the environment, which overrides server.json, which overrides the
// default. The error is a *ConfigError that names the setting as it was written.
func ParseArguments(args, environment []string) (Arguments, error) {
	line, err := settings.ReadLine(args, environment)
	if err != nil {
		return Arguments{}, err
	}
	a := Arguments{Help: line.Help, Version: line.Version, License: line.License, PIDFile: line.PIDFile, Check: line.Check, Notes: line.Notes()}
	if a.Help || a.Version || a.License {
		return a, nil
	}
	cfg, err := baseConfig(line)
	if err != nil {
		return Arguments{}, err
	}
	if name := line.Given("PeerAddr"); name != "" && cfg.PeerAddr == "" && line.Given("Join") == "" {
		return Arguments{}, line.Errorf("PeerAddr", "%s is for the servers of a cluster: leave it out, or add -config", name)
	}
	if err := line.Apply(&cfg, cfg.origins); err != nil {
		return Arguments{}, err
	}
	before := ""
	if len(cfg.ClientAddrs) > 0 {
		before = cfg.ClientAddrs[0]
	}
	if addrs, err := line.ClientAddrs(before); err != nil {
		return Arguments{}, err
	} else if addrs != nil {
		cfg.ClientAddrs = addrs
	}
	if name := line.Given("SASL"); name != "" && line.SASL && cfg.AuthFile == "" {
		return Arguments{}, line.Errorf("SASL", "%s insists on authentication: name a file of users with -Y", name)
	}
	a.Config, err = cfg.Complete()
	return a, err
}

//go:embed LICENSE
var license string

// License is the text that -i shows.
func License() string { return license }

// WriteUsage writes what -h shows: every flag with its default.
func WriteUsage(w io.Writer) error { return settings.WriteUsage(w) }

// baseConfig is the configuration before the settings: of the lone node, or of
// the server of the config file that -id chooses.
func baseConfig(line *settings.Line) (Config, error) {
	id := line.Given("ID")
	if join := line.Given("Join"); join != "" && line.Given("ConfigFile") == "" {
		if id == "" {
			return Config{}, line.Errorf("Join", "%s needs the id that `raftcachectl member add` has announced: add -id", join)
		}
		return Config{ServerID: line.ID, origins: settings.Origins{}}, nil
	}
	if line.Given("ConfigFile") == "" {
		if id != "" {
			return Config{}, line.Errorf("ID", "%s chooses a server of a config: add -config server.json", id)
		}
		return Config{origins: settings.Origins{}}, nil
	}
	cluster, err := ReadCluster(line.ConfigFile)
	if err != nil {
		return Config{}, err
	}
	if id == "" && len(cluster.Servers) == 1 {
		return cluster.Config(cluster.Servers[0].ID)
	}
	if id == "" {
		return Config{}, line.Errorf("ID", "config %q lists %d servers: choose one with -id", cluster.File, len(cluster.Servers))
	}
	cfg, err := cluster.Config(line.ID)
	if err != nil {
		return Config{}, line.Errorf("ID", "%s is %d: choose one of %s, which config %q lists", id, line.ID, settings.IDs(cluster.file.Servers), cluster.File)
	}
	return cfg, nil
}
