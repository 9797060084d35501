# ordbench: `make` builds, `make check` is what every change must pass.

GO            ?= go
GOLANGCI_LINT ?= v2.15.0
FUZZTIME      ?= 10s

# Static, as it ships. Vet and lint read the same packages, so nothing is
# compiled twice but for the race detector.
STATIC := CGO_ENABLED=0 GOFLAGS=-trimpath

.PHONY: $(shell awk -F: '/^[a-z-]+:.*## / {print $$1}' $(MAKEFILE_LIST))
.DEFAULT_GOAL := build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ordbench, static
	$(STATIC) $(GO) build -o bin/ordbench ./cmd/ordbench

images: ## build the images of Kafka, Redis and PostgreSQL for --runtime docker, without a registry
	system/runtime/docker/images/build

test: build ## run every test
	$(GO) test ./...

# One package after the other: many of them boot stacks of their own, and two
# at once are late for each other on a small machine. By default the race
# detector holds up the end of each process for a second.
check: vet lint compile ## what every change must pass: build, vet, lint, import rules, tests with the race detector
	GORACE=atexit_sleep_ms=50 $(GO) test -race -p 1 -timeout 15m ./...

compile: build ## compile bin/ordbench and, with the race detector, every test
	$(GO) list -race -test -deps -export ./... >/dev/null

vet: ## go vet, and of what only bench-tracing builds
	$(STATIC) $(GO) vet ./...
	$(STATIC) $(GO) vet -tags ordbench_pulse ./system/telemetry

lint: ## golangci-lint, at the pinned version
	$(STATIC) $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT) run

fmt: ## format the code as the linter wants it
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT) fmt

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-pipeline: build ## what the whole local stack sustains; it wants a quiet machine
	bin/ordbench run -q scenarios/bench/pipeline.yaml --runtime local

bench-overload: build ## four times what the local stack sustains, for 20 s; it wants a quiet machine
	bin/ordbench run -q scenarios/bench/overload.yaml --runtime local

bench-traces: build ## is each of 30,000 traces whole, through kills, retries and a redrive?
	bin/ordbench run -q scenarios/bench/traces.yaml --runtime local

bench-tracing: ## what tracing costs of the throughput, in RUNS (5) runs of a minute
	ORDBENCH_TRACING_RUNS=$(or $(RUNS),5) $(GO) test -run '^$$' -bench '^BenchmarkTracing$$' -benchtime 1x -timeout 30m -v ./cmd/ordbench

bench-load: ## the load engine beside wrk, hey, oha and k6, what of them is installed; ten minutes of a quiet machine, or ARGS="-only cost"
	$(GO) build -o bin/bench-load ./loadgen/bench
	bin/bench-load $(ARGS)

bench-validity: ## starve generator or server by cgroup, RUNS (120) times: does the report say which? TALLY=FILE adds up several sessions
	ORDBENCH_VALIDITY_RUNS=$(or $(RUNS),120) ORDBENCH_VALIDITY_TALLY=$(abspath $(TALLY)) $(GO) test -run '^$$' -bench '^BenchmarkValidity$$' -benchtime 1x -timeout 30m -v ./cmd/ordbench

crash: ## kill every service at each of its failpoints, ten times over
	$(GO) test -run TheBooksBalance -v -timeout 30m ./scenarios/conductor -crash-rounds 10

fuzz: ## run every fuzz test for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
		done; \
	done

golden: ## write the golden files anew; read the difference before committing
	@set -e; for pkg in $$(git grep -l 'flag.Bool("update"' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		$(GO) test ./$$pkg -update; \
	done

soak-load: ## RUNS (1000) short loads against servers that break, hang, talk nonsense and are killed: does every account match?
	ORDBENCH_SOAK_RUNS=$(or $(RUNS),1000) $(GO) test ./loadgen/wire -run TestNoFaultBends -count 1 -v -timeout 30m

soak-kill: ## kill ordbench 50 times in mid-fault: is anything left after 5 s?
	ORDBENCH_SOAK_KILLS=$(or $(ORDBENCH_SOAK_KILLS),50) $(GO) test ./cmd/ordbench -run TestAKilledOrdbench -count 1 -v -timeout 30m

soak-kill-docker: ## kill ordbench 20 times with a stack of containers, boot included: is anything left after 10 s?
	ORDBENCH_REQUIRE_DOCKER=1 ORDBENCH_SOAK_DOCKER_KILLS=20 $(GO) test ./system/runtime/docker -run TestKilledOwner -count 1 -v -timeout 30m

soak-chaos: ## 20 random schedules of overlapping faults at 300 orders/s: does every book balance?
	ORDBENCH_SOAK_SEEDS=$(or $(ORDBENCH_SOAK_SEEDS),20) ORDBENCH_SOAK_FROM=$(or $(ORDBENCH_SOAK_FROM),1) $(GO) test ./cmd/ordbench -run TestRandomFaults -count 1 -v -timeout 60m

clean: ## remove what build and run made
	rm -rf bin results
