//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"

	"raftcached/bench"
)

// target is a system that is driven in one way.
type target struct {
	name    string
	system  string // its name in systems; targets of a row may share one
	dialect bench.Dialect
}

// The targets, ourselves first. Names of rivals are what -rivals chooses from.
var (
	weThree     = target{name: "raftcached", system: "raftcached"}
	weLeased    = target{name: "raftcached", system: "raftcached-leases"}
	weAlone     = target{name: "raftcached", system: "raftcached-lone"}
	weOnOneCore = target{name: "raftcached", system: "raftcached-loop"}
	weInside    = target{name: "raftcached", system: "in-raftcached"}

	redisWait    = target{"redis-wait", "redis-disk", bench.RedisWait}
	redisAOF     = target{"redis-aof", "redis-disk", bench.Redis}
	redisMemory  = target{"redis-memory", "redis-memory", bench.Redis}
	etcd         = target{name: "etcd", system: "etcd"}
	tanLog       = target{name: "dragonboat-tan", system: "in-tan"}
	pebbleLog    = target{name: "dragonboat-pebble", system: "in-pebble"}
	memcached    = target{name: "memcached", system: "memcached"}
	memcachedOne = target{name: "memcached", system: "memcached-thread"}
)

// explanations say what a target's name stands for.
var explanations = [][2]string{
	{"raftcached", "synced by a majority before each answer"},
	{"redis-wait", "a primary and two replicas, appendfsync always, each burst of sets followed by WAIT 1"},
	{"redis-aof", "the same servers without WAIT"},
	{"redis-memory", "a primary and two replicas without AOF, without WAIT"},
	{"etcd", "three servers with their defaults, clients share at most 64 connections, spread over the servers"},
	{"dragonboat-tan", "three nodes and the clients in one process, proposals at the leader, its log named tan"},
	{"dragonboat-pebble", "the same with its default log, in pebble"},
	{"memcached", "one server, which keeps nothing"},
}

// measure is what a figure is about.
type measure uint8

const (
	rate  measure = iota // answers a second, ours to the rival's
	cpu                  // processor time for an answer, ours to the rival's; the less the better
	p50                  // latency, the rival's to ours
	p99                  // the same
	gapMs                // our longest time without an answer in ms; the less the better
)

var measureNames = map[measure]string{rate: "rate", cpu: "CPU-µs an operation", p50: "p50", p99: "p99", gapMs: "longest gap, ms"}

// lower reports whether a figure is reached from below.
func (m measure) lower() bool { return m == cpu || m == gapMs }

// figure is one to reach.
type figure struct {
	what   measure
	rivals []target // the best of them counts, in each round; none for gapMs
	want   float64
}

// row is one load on some targets, of which the first is ourselves.
type row struct {
	name, title string
	workload    bench.Workload
	targets     []target
	figures     []figure
	halfRate    bool // open loop, at half of what we can, or at -rate
}

// setRow is durable sets by clients that each wait for the answer.
func setRow(conns int, againstRedis, againstEtcd float64) row {
	return row{
		name: fmt.Sprintf("set%d", conns), title: fmt.Sprintf("durable sets, one at a time, clients: %d", conns),
		workload: load(conns, 1, 0), targets: []target{weThree, redisWait, etcd},
		figures: []figure{{rate, []target{redisWait}, againstRedis}, {rate, []target{etcd}, againstEtcd}},
	}
}

// deepRow is durable sets in bursts of 16.
func deepRow(conns int) row {
	return row{
		name: fmt.Sprintf("deep%d", conns), title: fmt.Sprintf("durable sets, depth 16, connections: %d", conns),
		workload: load(conns, 16, 0), targets: []target{weThree, redisAOF, redisWait, redisMemory},
		figures: []figure{{rate, []target{redisAOF}, 1.5}},
	}
}

// insideRow is proposals in the process of the nodes.
func insideRow(conns int, want float64) row {
	return row{
		name: fmt.Sprintf("in%d", conns), title: fmt.Sprintf("durable sets in the servers' process, one at a time, clients: %d", conns),
		workload: load(conns, 1, 0), targets: []target{weInside, tanLog, pebbleLog},
		figures: []figure{{rate, []target{tanLog, pebbleLog}, want}},
	}
}

func load(conns, depth int, gets float64) bench.Workload {
	w := bench.DefaultWorkload
	w.Conns, w.Depth, w.GetRatio = conns, depth, gets
	return w
}

// rows are all loads.
func rows() []row {
	one := row{
		name: "set1", title: "durable sets, one client alone", workload: load(1, 1, 0), targets: []target{weThree, redisWait, etcd},
		figures: []figure{{p50, []target{redisWait}, 1}, {p99, []target{redisWait}, 1}},
	}
	many := setRow(256, 1.5, 6)
	many.targets = append(many.targets, redisAOF, redisMemory)
	many.figures = append(many.figures, figure{cpu, []target{redisWait}, 0.5})
	against := func(name, title string, w bench.Workload, us, rival target, want float64) row {
		return row{name: name, title: title, workload: w, targets: []target{us, rival}, figures: []figure{{rate, []target{rival}, want}}}
	}
	return []row{
		one, setRow(64, 1.3, 6), many, setRow(1024, 2, 6),
		insideRow(64, 1.2), insideRow(256, 1.5), insideRow(1024, 1.7),
		deepRow(64), deepRow(256),
		against("mix50", "90 % gets, 10 % sets, three servers, 50 connections, depth 1", load(50, 1, 0.9), weThree, memcached, 0.6),
		against("mix50x16", "90 % gets, 10 % sets, three servers, 50 connections, depth 16", load(50, 16, 0.9), weThree, memcached, 0.5),
		against("leased50", "90 % gets, 10 % sets, three servers with leases, 50 connections, depth 1", load(50, 1, 0.9), weLeased, memcached, 0.6),
		against("leased50x16", "90 % gets, 10 % sets, three servers with leases, 50 connections, depth 16", load(50, 16, 0.9), weLeased, memcached, 0.5),
		against("lone50", "sets, a lone server, synced, 50 connections, depth 1", load(50, 1, 0), weAlone, memcached, 0.7),
		against("lone50x16", "sets, a lone server, synced, 50 connections, depth 16", load(50, 16, 0), weAlone, memcached, 0.8),
		against("get200", "gets, one loop on one core, 200 connections", load(200, 1, 1), weOnOneCore, memcachedOne, 1),
		{
			name: "open", title: "open loop: durable sets at half of our highest rate, connections: 256", workload: load(256, 1, 0),
			targets: []target{weThree, redisWait, etcd}, halfRate: true, figures: []figure{{what: gapMs, want: 50}},
		},
	}
}

// choose returns the rows of some names, all without any, each with the rivals whose names
// begin with one of those given.
func choose(names, rivals []string) ([]row, error) {
	var chosen []row
	known := map[string]bool{}
	for _, r := range rows() {
		known[r.name] = true
		if len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return n == r.name }) {
			continue
		}
		targets := r.targets[:1:1]
		for _, t := range r.targets[1:] {
			if len(rivals) == 0 || slices.ContainsFunc(rivals, func(prefix string) bool { return strings.HasPrefix(t.name, prefix) }) {
				targets = append(targets, t)
			}
		}
		r.targets = targets
		chosen = append(chosen, r)
	}
	for _, n := range names {
		if !known[n] {
			return nil, fmt.Errorf("choose rows: there is no %q", n)
		}
	}
	for _, prefix := range rivals {
		if !slices.ContainsFunc(explanations[1:], func(e [2]string) bool { return strings.HasPrefix(e[0], prefix) }) {
			return nil, fmt.Errorf("choose rivals: there is no %q", prefix)
		}
	}
	return chosen, nil
}
