# Each goal does the set-up it needs. One build profile for all: `release`.
CARGO ?= cargo
GUESTS := --package hello --package heartbeat --package counter --package misbehave --package network --package effects

.PHONY: help build demo test soak bench lint setup

help:
	@echo "make demo    watch three hosts, a plugin, and three failovers (under a minute once built)"
	@echo "make test    every test, against ZooKeeper servers of their own"
	@echo "make soak    faults for SOLOIST_SOAK=30m, two at a time chosen by SOLOIST_SEED; shows what came of them"
	@echo "make bench   measure failover, start and memory"
	@echo "make lint    formatting, clippy, documentation, dependencies"
	@echo "make build   the program, at target/release/soloist"

setup:
	@tests/setup.sh

build: setup
	$(CARGO) build --release --bins

demo: setup
	@$(CARGO) run --release --bin demo

test: setup
	$(CARGO) test --release --no-fail-fast

soak: export SOLOIST_SOAK ?= 30m
soak: setup
	@$(CARGO) test --release --package soloist-tests --test faults

bench: setup
	@$(CARGO) run --release --bin bench

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --all-targets -- --deny warnings
	$(CARGO) clippy --release --target wasm32-wasip2 $(GUESTS) -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --release --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo "cargo-deny is not installed: licences and advisories were not checked"; fi
