package raftcached

import (
	"cmp"
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
	if err := line.Apply(&cfg, cfg.origins); err != nil {
		return Arguments{}, err
	}
	if len(cfg.Servers) == 0 {
		if err := recall(&cfg, line); err != nil {
			return Arguments{}, err
		}
	}
	before := ""
	if len(cfg.ClientAddrs) > 0 {
		before = cfg.ClientAddrs[0]
	}
	if addrs, err := line.ClientAddrs(before); err != nil {
		return Arguments{}, err
	} else if err := cfg.setClientAddrs(addrs, line); err != nil {
		return Arguments{}, err
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

// recall completes a configuration that no server.json began, by what the data folder
// tells. Who names an id means a server of a cluster: then none is begun.
func recall(cfg *Config, line *settings.Line) error {
	known := cfg.recall()
	id, join, dir := line.Given("ID"), line.Given("Join"), cmp.Or(cfg.DataDir, settings.DataDirDefault)
	switch name := line.Given("PeerAddr"); {
	case known && id != "" && cfg.ServerID != line.ID:
		return line.Errorf("ID", "%s is %d, and data folder %q belongs to server %d: give each server a folder of its own, with -data", id, line.ID, dir, cfg.ServerID)
	case known:
	case join != "" && id == "":
		return line.Errorf("Join", "%s needs the id that `raftcachectl member add` has announced: add -id", join)
	case join != "":
		cfg.ServerID = line.ID
	case id != "":
		return line.Errorf("ID", "%s names a server of a cluster, and data folder %q is of none: add -config server.json, or its -data, or the -join that `raftcachectl member add` shows", id, dir)
	case name != "":
		return line.Errorf("PeerAddr", "%s is for the servers of a cluster: leave it out, or add -config", name)
	}
	return nil
}

// baseConfig is the configuration before the settings: an empty one, or that of the
// server of the config file that -id chooses.
func baseConfig(line *settings.Line) (Config, error) {
	if line.Given("ConfigFile") == "" {
		return Config{origins: settings.Origins{}}, nil
	}
	cluster, err := ReadCluster(line.ConfigFile)
	if err != nil {
		return Config{}, err
	}
	id := line.Given("ID")
	if id == "" && len(cluster.Servers) == 1 {
		return cluster.Config(cluster.Servers[0].ID)
	}
	if id == "" {
		return Config{}, line.Errorf("ID", "config %q lists %d servers: choose one with -id", cluster.File, len(cluster.Servers))
	}
	cfg, err := cluster.Config(line.ID)
	if err != nil {
		return Config{}, line.Errorf("ID", "%s is %d: choose one of %s, which config %q lists; a server that it does not list is started by its -data, without -config", id, line.ID, settings.IDs(cluster.file.Servers), cluster.File)
	}
	return cfg, nil
}
