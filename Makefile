# Targets are few and orthogonal; `make help` lists them. `make` alone is what CI runs.
GO      ?= go
PKGS    ?= ./...
TOOLS   := $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 60s

.PHONY: all help build test race lint vet fuzz generate bench bench-fast bench-generations stress cover clean install

all: lint generate-check test ## What CI runs

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/cocaine
	$(GO) build -trimpath -o bin/cocaine ./cmd/cocaine

install: ## Install cocaine into GOBIN
	$(GO) install -trimpath ./cmd/cocaine

test: ## All tests with the race detector, and those of allocations without
	$(GO) test -race -timeout 15m $(PKGS)
	$(GO) test -run Allocat $$(git grep -l 'func Test.*Allocat' -- '*_test.go' ':!bench' | xargs -n1 dirname | sort -u | sed 's|^|./|')
	cd bench && $(GO) vet ./... && $(GO) test ./...

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt wants:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOLS) staticcheck ./...

hostile: ## 10,000 hostile connections of each kind while an app is under load (minutes)
	COCAINE_TEST_HOSTILE=10000 $(GO) test -count=1 -timeout 60m -v -run TestHostilePeers ./internal/daemon

kills: ## Kill the runtime 100 times while it is written to (minutes)
	COCAINE_TEST_KILLS=100 $(GO) test -count=1 -timeout 60m -v -run TestKilledRuntime ./internal/daemon

chaos: ## A million calls on one client while everything breaks (minutes)
	COCAINE_TEST_CALLS=1000000 $(GO) test -count=1 -timeout 60m -v -run '^TestChaos$$' .

unicorn: ## The faults of coordination at length, and how fast 1,000 subscribers hear of a change (minutes)
	COCAINE_TEST_UNICORN=long $(GO) test -count=1 -timeout 60m -v -run TestUnderFaults ./internal/unicorn
	$(GO) test -run '^$$' -bench FanOut -benchtime 200x ./internal/unicorn

.PHONY: generate-check hostile kills chaos unicorn
generate: ## Make generated files anew
	$(GO) generate ./...

generate-check: generate ## Fail if generated files are stale
	git diff --exit-code -- internal/idl docs

fuzz: ## Every fuzz target for FUZZTIME (60s)
	@set -e; for pkg in $$($(GO) list $(PKGS)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

stress: ## The tests 20 times over
	$(GO) test -race -count=20 -timeout 60m $(PKGS)

bench: ## The full comparison: about six minutes, writes bench/results/latest.json
	cd bench && $(GO) run . run

bench-fast: ## A short comparison, under a minute
	cd bench && BENCH_FAST=1 $(GO) run . run

bench-generations: ## How calls compare between v0.11 and v0.12, under a minute
	$(GO) test -run '^$$' -bench EchoRatio -benchtime 2s ./internal/v011

cover: ## Coverage by package
	$(GO) test -coverprofile=cover.out $(PKGS) && $(GO) tool cover -func=cover.out | tail -1

clean: ## Remove what was built
	rm -rf bin cover.out
