# The one entrypoint for developers. `make check` is what a commit must pass.

GO        ?= go
TOOL      := $(GO) tool -modfile=tools/go.mod
GOLANGCI  := $(GO) tool -modfile=tools/golangci/go.mod golangci-lint
FUZZTIME  ?= 30s

.PHONY: check test race lint fmt

## check: format, vet, lint and test, in the order of what fails fastest
check: lint test

## test: every test, as the README says it
test:
	$(GO) test ./...

## race: every test under the race detector
race:
	$(GO) test -race ./...

## lint: formatting, go vet and the linters of .golangci.yml
lint:
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then \
		echo "run make fmt; not formatted:" >&2; echo "$$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	$(GOLANGCI) run ./...

## fmt: format every file in place
fmt:
	$(TOOL) gofumpt -w .
	$(TOOL) goimports -local raftcached -w .
