//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// The ports of etcd server i, on the cluster's own loopback address.
const (
	etcdClientPort = 2379
	etcdPeerPort   = 2479
)

// etcdConnsMax is how many connections etcd's clients share. etcd's own benchmark
// spreads 1,000 clients over 100.
const etcdConnsMax = 64

// serveEtcd runs one etcd server, with its defaults. The arguments are its folder, the
// address of the cluster and its number.
func serveEtcd(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("serve etcd: arguments are %q, want a folder, an address and a number", args)
	}
	dir, host, number := args[0], args[1], int(args[2][0]-'0')
	at := func(port int) []url.URL {
		return []url.URL{{Scheme: "http", Host: fmt.Sprintf("%s:%d", host, port+number)}}
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.LogLevel = args[2], filepath.Join(dir, args[2]), "warn"
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = at(etcdClientPort), at(etcdClientPort)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = at(etcdPeerPort), at(etcdPeerPort)
	cfg.QuotaBackendBytes = 8 << 30 // it keeps every revision
	var members []string
	for i := range 3 {
		members = append(members, fmt.Sprintf("%d=http://%s:%d", i, host, etcdPeerPort+i))
	}
	cfg.InitialCluster = strings.Join(members, ",")
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	return <-e.Err()
}

// etcdSystem is three etcd servers and connections to them.
type etcdSystem struct {
	*network
	conns []*clientv3.Client
}

func startEtcd(ctx context.Context, dir string) (system, error) {
	host, err := cluster.RandomLoopback()
	if err != nil {
		return nil, err
	}
	s := &etcdSystem{network: &network{}}
	for i := range 3 {
		p, err := startChild(dir, "etcd", dir, host, fmt.Sprint(i))
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.processes = append(s.processes, p)
		s.addrs = append(s.addrs, fmt.Sprintf("%s:%d", host, etcdClientPort+i))
	}
	for i := range etcdConnsMax {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.addrs[i%len(s.addrs)]}, Logger: zap.NewNop()})
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.conns = append(s.conns, c)
	}
	for i := range s.processes {
		err := awaitProcess(ctx, s.processes[i], func() error {
			ctx, cancel := context.WithTimeout(ctx, startTimeout/10)
			defer cancel()
			_, err := s.conns[i].Put(ctx, "started", "")
			return err
		})
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *etcdSystem) measure(ctx context.Context, w bench.Workload, _ bench.Dialect, duration time.Duration) (Measured, error) {
	return drive(ctx, s.setters(w), w, duration)
}

// setters returns a workload's clients, spread over the connections and so over the servers.
func (s *etcdSystem) setters(w bench.Workload) []setter {
	list := make([]setter, w.Conns)
	for i := range list {
		c := s.conns[i%len(s.conns)]
		list[i] = func(ctx context.Context, key string, value []byte) error {
			_, err := c.Put(ctx, key, string(value))
			return err
		}
	}
	return list
}

func (s *etcdSystem) close() error {
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, s.network.close())...)
}
