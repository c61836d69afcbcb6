package ctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"raftcached"
	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

const (
	serverVariable = "RAFTCACHECTL_SERVER"
	configVariable = "RAFTCACHECTL_CONFIG"
	configDefault  = "server.json"
	serverDefault  = "127.0.0.1:11411"
)

// seeds returns the admin ports that the command line, the environment or a
// server.json names. The error is a usageError.
func (c *ctl) seeds() (servers []string, err error) {
	defer func() {
		if err != nil {
			err = usageError{err}
		}
	}()
	servers, config := c.servers, c.config
	if len(servers) == 0 && config == "" {
		if text := c.Getenv(serverVariable); text != "" {
			servers = strings.Split(text, ",")
		}
		config = c.Getenv(configVariable)
	}
	if len(servers) > 0 {
		for i, addr := range servers {
			servers[i] = strings.TrimSpace(addr)
			_, port, err := net.SplitHostPort(servers[i])
			if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
				return nil, fmt.Errorf("server %q is no address: write host:port, like %s", addr, serverDefault)
			}
		}
		return servers, nil
	}
	if config == "" {
		if _, err := os.Stat(configDefault); err != nil {
			return []string{serverDefault}, nil
		}
		config = configDefault
	}
	cluster, err := raftcached.ReadCluster(config)
	if err != nil {
		return nil, err
	}
	for _, s := range cluster.Servers {
		if addr := s.AdminAddr(); addr != "" {
			servers = append(servers, addr)
		}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no server in config %q has an admin port: give each an \"adminPort\", and restart them one at a time", config)
	}
	return servers, nil
}

// configFile returns the name of the cluster's server.json, or nothing if there is none.
func (c *ctl) configFile() string {
	config := c.config
	if config == "" && len(c.servers) == 0 {
		config = c.Getenv(configVariable)
	}
	if config == "" {
		if _, err := os.Stat(configDefault); err == nil {
			config = configDefault
		}
	}
	return config
}

// gather asks the servers that are named, and then those that their answers name:
// each time all at once, so that a dead one costs one timeout.
func (c *ctl) gather(ctx context.Context) ([]overview.Reply, error) {
	seeds, err := c.seeds()
	if err != nil {
		return nil, err
	}
	client, err := c.newLooker()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	replies := overview.Gather(ctx, client, c.timeout, seeds)
	if !slices.ContainsFunc(replies, func(r overview.Reply) bool { return r.Status != nil }) {
		return replies, nobodyAnswers(replies)
	}
	return replies, ctx.Err()
}

// errNobody is the error of a cluster of which no server answers.
var errNobody = errors.New("no server answers")

func nobodyAnswers(replies []overview.Reply) error {
	var tried []string
	for _, r := range replies {
		tried = append(tried, fmt.Sprintf("%s: %s", r.Addr, admin.Why(r.Err)))
	}
	return fmt.Errorf("%w (%s): start one, or name another admin port with --server", errNobody, strings.Join(tried, ", "))
}
