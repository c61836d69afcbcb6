# The one entrypoint for developers. `make check` is what a commit must pass.

GO        ?= go
# -modfile does not work in a workspace, so the tools run outside of it.
TOOL      := GOWORK=off $(GO) tool -modfile=tools/go.mod
GOLANGCI  := GOWORK=off $(GO) tool -modfile=$(CURDIR)/tools/golangci/go.mod golangci-lint
FUZZTIME  ?= 30s

CHAOSRUNS ?= 5

# RUNS is how many clusters `make harm` harms, and histories `make histories` records.
RUNS ?= 200

# KEEP is where `make histories` keeps what nothing explains: history, logs and data.
KEEP ?= /tmp/raftcached-histories

# SIMSEEDS is how many seeds `make sim` runs of each simulation, SIMFIRST the first.
SIMSEEDS ?= 100
SIMFIRST ?= 1

# SIMTESTS are the simulations that `make sim` runs.
SIMTESTS ?= Simulat|Harmed|HandOver|Stalled|LogBegins|SeededBugs

# COMPAREFLAGS are for `make bench-compare`, like
# COMPAREFLAGS='-rows set64,open -rivals redis -duration 10s -rounds 5 -html page.html'.
COMPAREFLAGS ?=

# RATIOFLAGS are for `make ratio`, like RATIOFLAGS=-quick.
RATIOFLAGS ?=

# MEMORYFLAGS are for `make memory`, like MEMORYFLAGS='-items 1000000 -limits 64'.
MEMORYFLAGS ?=

# GROWTHFLAGS are for `make growth`, like GROWTHFLAGS='-only items,loops -duration 1s'.
GROWTHFLAGS ?=

# MEASURINGFLAGS are for `make measuring`, like MEASURINGFLAGS='-duration 10s -rounds 9'.
MEASURINGFLAGS ?=

# RACEFLAGS are for `make race`: -short leaves out what the race detector has nothing to find in, and bench.
RACEFLAGS ?=

# BACKUPFLAGS are for `make backup`, like BACKUPFLAGS='-size 64 -rounds 1'.
BACKUPFLAGS ?=

# REPLACEFLAGS are for `make replace`, like REPLACEFLAGS='-leader'.
REPLACEFLAGS ?=

# SNAPSHOTFLAGS are for `make snapshot`, like SNAPSHOTFLAGS='-size 4096'.
SNAPSHOTFLAGS ?=

# DIFFERENTIALFLAGS are for `make differential`, like DIFFERENTIALFLAGS='-n 20000 -seed 7'.
DIFFERENTIALFLAGS ?=

# PUBLIC are the programs and the packages that others may import. Code that is
# reached neither by them nor by the tests of those packages is dead.
PUBLIC := . ./raftcachedtest ./cmd/...

# CLIENTS are the Debian packages of the programs and clients that tests talk to.
CLIENTS := memcached netcat-openbsd strace curl perl python3-pymemcache python3-pylibmc libmemcached-tools \
	libcache-memcached-fast-perl php-cli php-memcached chromium systemd iproute2 openssl

# LOSTCLIENTS are those of clients that only `make conformance` needs.
LOSTCLIENTS := ruby ruby-dalli libspymemcached-java default-jdk-headless

# PLATFORMS are what `make dist` builds for.
PLATFORMS ?= linux/amd64 linux/arm64

# ROOTFS is where `make rootfs` puts what the container image has.
ROOTFS ?= bin/rootfs

# RIVALS are the Debian packages of the programs that `make bench-compare` starts. CI
# needs none of them.
RIVALS := redis-server memcached

.DEFAULT_GOAL := check
.PHONY: help clients check test race fuzz bench ratio memory idle growth backup replace snapshot exporter cluster chaos lag harm members sim simreads conformance differential rewrite dist lint fmt

## help: list these commands
help:
	@sed -n 's/^## \([a-z-]*\): /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

## check: format, vet, lint and test, in the order of what fails fastest
check: lint test

## test: every test of the product (the README's command) and of bench
test:
	$(GO) test ./...
	$(GO) test ./bench/...

## race: every test under the race detector
race:
	$(GO) test -race $(RACEFLAGS) ./...
	$(if $(filter -short,$(RACEFLAGS)),,$(GO) test -race $(RACEFLAGS) ./bench/...)

## fuzz: every fuzz target for FUZZTIME
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "== $$(dirname "$$file") $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$(dirname "$$file")" || exit 1; \
		done; \
	done

## bench: memcached, one node and three nodes in alternating rounds
bench:
	$(GO) run ./bench/cmd/compare

.PHONY: bench-compare
## bench-compare: Redis, etcd, dragonboat and memcached beside this server; 20 minutes, and 10 to build
bench-compare: rivals
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
		GOWORK=off $(GO) build -C bench/rivals -o "$$dir/rivals" . && "$$dir/rivals" $(COMPAREFLAGS)

.PHONY: rivals
## rivals: install the programs of `make bench-compare`, as root or with sudo
rivals:
	@dpkg-query -W $(RIVALS) >/dev/null 2>&1 || { \
		root=; [ "$$(id -u)" -eq 0 ] || root=sudo; \
		$$root apt-get update -qq && \
		$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(RIVALS); }

## ratio: miss ratios of memcached, three nodes and ideal caches; 40 minutes, with -quick 3
ratio:
	$(GO) run ./bench/cmd/hitratio $(RATIOFLAGS)

## memory: bytes for each item, RSS under load, the garbage collector; more than an hour, 18 GiB
memory:
	$(GO) run ./bench/cmd/memory $(MEMORYFLAGS)

## idle: what servers cost that have nothing to do
idle:
	$(GO) run ./bench/cmd/idle

.PHONY: measuring
## measuring: what it costs a server to measure its requests: latencies, hot keys, slow commands; 1 minute
measuring:
	$(GO) run ./bench/cmd/measuring $(MEASURINGFLAGS)

## growth: what gets and sets cost with more items, connections, servers, bytes and loops; 5 minutes, 4 GiB
growth:
	$(GO) run ./bench/cmd/growth $(GROWTHFLAGS)

## backup: latency while raftcachectl backup runs, and without
backup:
	$(GO) run ./bench/cmd/backup $(BACKUPFLAGS)

## replace: throughput and latency while a dead server is replaced under load
replace:
	$(GO) run ./bench/cmd/replace $(REPLACEFLAGS)

## snapshot: latency during a snapshot, and the time of a restart
snapshot:
	$(GO) run ./bench/cmd/snapshot $(SNAPSHOTFLAGS)

## exporter: compare what Prometheus reads from this server and from memcached
exporter:
	TEST_RAFTCACHED_REQUIRE=1 $(GO) test -count 1 -v -run PrometheusExporter ./internal/integration

.PHONY: stall
## stall: the leader's disk stands still for a minute under load: who leads, and what memory is taken
stall:
	TEST_RAFTCACHED_REQUIRE=1 $(GO) test -count 1 -v -run StalledDisk ./internal/integration -stall.time 60s

## lag: 400 MB of sets while a follower is stopped, and what writes take while it catches up
lag:
	$(GO) test -count 1 -v -run FollowerThatLags ./internal/integration -lag.mb 400

.PHONY: long
## long: clients that hoard memory, floods of handshakes, and an upgrade to a new cluster version, of real servers
long:
	TEST_RAFTCACHED_REQUIRE=1 $(GO) test -count 1 -timeout 20m -v -run 'ClientsThatHoard|FloodOfHandshakes|UpgradeToANew' ./internal/integration -long

## cluster: the three servers of server.json, until Ctrl-C
cluster:
	$(GO) run ./cmd/server-spawner

## chaos: kill, pause and cut off real servers under load, CHAOSRUNS times
chaos:
	$(GO) test -count $(CHAOSRUNS) -timeout 1h \
		-run 'Kill|Snapshot|Majority|Isolated|Paused|Partitions|Linearizable' ./internal/integration

.PHONY: histories
## histories: RUNS histories of 2,000 operations at all servers with leases, in trouble, checked by porcupine
histories:
	$(GO) test ./internal/integration -v -timeout 24h -run '^TestHistories$$' -histories.runs $(RUNS) -histories.clusters 4 -histories.operations 2000 -histories.trouble 5s -histories.keep $(KEEP)

## harm: damage, swap and set back the data folders of RUNS real clusters
harm:
	$(GO) test ./internal/integration -v -timeout 2h -parallel 4 -run '^TestHarmedServers$$' -harm.runs $(RUNS) -harm.first $$(date +%s)

## members: change the members of RUNS real clusters (50 by default) under load, and kill -9 meanwhile
members: RUNS = 50
members:
	$(GO) test ./internal/integration -v -timeout 4h -parallel 2 -run '^TestMembersUnderLoad$$' \
		-members.runs $(RUNS) -members.first $$(date +%s) -members.changes 6

## sim: the simulations of replication with SIMSEEDS seeds, those of harmed folders with ten times as many
sim:
	$(GO) test -count 1 -timeout 24h -run '$(SIMTESTS)' ./replication \
		-sim.first $(SIMFIRST) -sim.seeds $(SIMSEEDS) -sim.harms $(SIMSEEDS)0

## simreads: the simulation of reads with SIMSEEDS seeds, in a process for each core, as its tests have no parallel parts
simreads:
	@dir=$$(mktemp -d); trap 'rm -r "$$dir"' EXIT; \
	$(GO) test -c -o "$$dir/test" ./replication || exit 1; \
	cores=$$(nproc); each=$$((($(SIMSEEDS) + cores - 1) / cores)); running=; failed=0; cd replication || exit 1; \
	for i in $$(seq 0 $$((cores - 1))); do \
		"$$dir/test" -test.timeout 24h -test.run '^TestSimulatedReads$$' -sim.first $$(($(SIMFIRST) + i * each)) -sim.seeds $$each & \
		running="$$running $$!"; \
	done; \
	for p in $$running; do wait $$p || failed=1; done; exit $$failed

## clients: install the programs that tests need, as root or with sudo
clients:
	@dpkg-query -W $(CLIENTS) >/dev/null 2>&1 || { \
		root=; [ "$$(id -u)" -eq 0 ] || root=sudo; \
		$$root apt-get update -qq && \
		$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(CLIENTS); }

## conformance: other clients and the transcripts against real servers; needs npm
conformance:
	$(MAKE) clients CLIENTS="$(CLIENTS) $(LOSTCLIENTS)"
	TEST_RAFTCACHED_REQUIRE=1 $(GO) test -count 1 -v -run 'Transcripts|RealMemcached|EveryCommand|Stats|Exporter|MemcachedTool|ProgramsThatListKeys|Netcat|Pymemcache|LoneServer' \
		./internal/node ./protocol ./internal/integration
	TEST_RAFTCACHED_REQUIRE=1 $(GO) test -count 1 -v -run 'Clients|LostServer' ./internal/conformance -npm -lost

## differential: the same random requests to this server and to memcached 1.6.45
differential:
	$(GO) run ./internal/differential $(DIFFERENTIALFLAGS)

## rewrite: write stories, tables of settings, man pages and the like from what the code does; read the diff
rewrite:
	$(GO) test ./replication -run Stories -rewrite
	$(GO) test ./internal/settings -run 'Documents|Manual' -rewrite
	$(GO) test ./cmd/internal/ctl -run Manual -rewrite
	$(GO) test ./internal/metrics -run TestMetrics -rewrite

## dist: static binaries of the commit for PLATFORMS, with documents and what is in deploy, as bin/raftcached-VERSION-OS-ARCH.tar.gz
dist:
	@version=$$(sed -n 's/^const Version = "\(.*\)"/\1/p' version.go); \
	for platform in $(PLATFORMS); do \
		name=raftcached-$$version-$$(echo $$platform | tr / -); dir=bin/$$name; rm -rf "$$dir"; mkdir -p "$$dir/deploy" "$$dir/bench" || exit 1; \
		for command in raftcached raftcachectl server-spawner; do \
			CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build -buildvcs=true -trimpath -ldflags '-s -w' -o "$$dir/$$command" ./cmd/$$command || exit 1; \
		done; \
		cp -r server.json README.md ARCHITECTURE.md CHANGELOG.md LICENSE docs "$$dir/" && cp -r bench/results "$$dir/bench/" && \
		cp -r deploy/man deploy/systemd deploy/prometheus deploy/grafana deploy/helm "$$dir/deploy/" && GO="$(GO)" sh tools/notices > "$$dir/NOTICES" && \
		tar -C bin --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$$(git log -1 --format=%ct) -czf "bin/$$name.tar.gz" "$$name" && rm -r "$$dir" && echo "bin/$$name.tar.gz" || exit 1; \
	done; \
	cd bin && sha256sum raftcached-$$version-*.tar.gz > raftcached-$$version.sha256 && echo "bin/raftcached-$$version.sha256"

.PHONY: rootfs
## rootfs: what the container image has, in ROOTFS: root belongs to root there, owned to the server's user
rootfs:
	@rm -rf "$(ROOTFS)" && mkdir -p "$(ROOTFS)/root/usr/bin" "$(ROOTFS)/root/etc/raftcached" && mkdir -p -m 700 "$(ROOTFS)/owned/data"
	@for command in raftcached raftcachectl; do \
		CGO_ENABLED=0 GOWORK=off $(GO) build -trimpath -ldflags '-s -w' -o "$(ROOTFS)/root/usr/bin/$$command" ./cmd/$$command || exit 1; \
	done
	@cp LICENSE "$(ROOTFS)/root/" && GO="$(GO)" GOWORK=off sh tools/notices > "$(ROOTFS)/root/NOTICES" && cp deploy/docker/passwd deploy/docker/group "$(ROOTFS)/root/etc/"

.PHONY: packages
## packages: check the Dockerfile, compose.yaml and the Helm chart, and run their containers in network namespaces; needs root; not in CI
packages:
	cd deploy/test && GOWORK=off $(GO) vet ./...
	cd deploy/test && $(GOLANGCI) run ./...
	cd deploy/test && GOWORK=off TEST_RAFTCACHED_REQUIRE=1 $(GO) test -count 1 ./...

## lint: formatting, go vet, dead code and the linters of .golangci.yml
lint:
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then \
		echo "run make fmt; not formatted:" >&2; echo "$$unformatted" >&2; exit 1; fi
	$(GO) vet ./... ./bench/...
	@dead=$$($(TOOL) deadcode -test $(PUBLIC)) || exit 1; if [ -n "$$dead" ]; then \
		echo "no program and no user of the public packages reaches:" >&2; echo "$$dead" >&2; exit 1; fi
	$(GOLANGCI) run ./...
	cd bench && $(GOLANGCI) run ./...

## fmt: format every file in place
fmt:
	$(TOOL) gofumpt -w .
	$(TOOL) goimports -local raftcached -w .
