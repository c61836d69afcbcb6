//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"raftcached/internal/cluster"
)

// The port of each Redis, on a loopback address of its own.
const redisPort = 6379

// startRedis starts a primary and two replicas of it; on disk, each syncs its log before
// it answers, which is Redis's strictest setting.
func (l *launcher) startRedis(ctx context.Context, dir string, onDisk bool) (system, error) {
	if l.programs.redis == "" {
		return nil, errors.New("there is no redis-server: apt-get install redis-server, or name it with -redis")
	}
	host, err := cluster.RandomLoopback()
	if err != nil {
		return nil, err
	}
	n := &network{addrs: []string{fmt.Sprintf("%s:%d", host, redisPort)}}
	for i := range 3 {
		folder := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, errors.Join(err, n.close())
		}
		args := []string{
			"--bind", host, "--port", fmt.Sprint(redisPort + i), "--dir", folder, "--save", "", "--daemonize", "no",
			"--appendonly", yes(onDisk), "--appendfsync", "always", "--maxclients", "4096", "--protected-mode", "no",
			"--repl-diskless-sync-delay", "0",
		}
		if i > 0 {
			args = append(args, "--replicaof", host+" "+fmt.Sprint(redisPort))
		}
		p, err := cluster.StartProcess(filepath.Join(dir, "redis.log"), nil, l.programs.redis, args...)
		if err != nil {
			return nil, errors.Join(err, n.close())
		}
		n.processes = append(n.processes, p)
	}
	// A set is answered once two replicas have it, so that both take part from the start.
	err = awaitProcess(ctx, n.processes[0], func() error { return bothReplicas(ctx, n.addrs[0]) })
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "redis.log")) // for the message only
		return nil, errors.Join(fmt.Errorf("wait for the replicas: %w\n%s", err, text), n.close())
	}
	return n, nil
}

// bothReplicas reports an error while fewer than two replicas are online.
func bothReplicas(ctx context.Context, addr string) error {
	text, err := askRedis(ctx, addr, "INFO replication")
	if err != nil {
		return err
	}
	if n := strings.Count(text, "state=online"); n < 2 {
		return fmt.Errorf("%d replicas are online, want 2", n)
	}
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// askRedis sends an inline command and returns the text of its bulk reply.
func askRedis(ctx context.Context, addr, command string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // nothing is outstanding
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
	if err != nil {
		return "", fmt.Errorf("ask Redis %q: it says %q", command, line)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(in, text)
	return string(text), err
}
